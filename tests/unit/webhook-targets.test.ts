import { afterAll, describe, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { AddressGuard, INSIDE } from "../../src/webhooks/address-guard.ts";
import { post } from "../../src/webhooks/post.ts";
import { certificates } from "../helpers/certificates.ts";

/** Webhooks go to the internet, and into one's own network only where the settings say so. */

/** Every kind of address that is none of the internet, and ways to write one so that it looks otherwise. */
const INSIDE_ADDRESSES = [
  ...["127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1"],
  ...[
    "169.254.169.254",
    "100.64.0.1",
    "100.127.255.254",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.0.1",
    "198.18.0.1",
  ],
  ...[
    "240.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
  ],
  ...["::ffff:7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::1", "2001:db8::1", "::127.0.0.1"],
];

const OUTSIDE = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"];

describe("addresses", () => {
  const guard = new AddressGuard([]);
  test.each(INSIDE_ADDRESSES)("%s is inside", (address) => expect(guard.allows(address)).toBe(false));
  test.each(OUTSIDE)("%s is outside", (address) => expect(guard.allows(address)).toBe(true));

  test("that the settings name are allowed, and no others", () => {
    const own = new AddressGuard(["10.1.0.0/16", "::1", "192.168.1.1"]);
    for (const address of ["10.1.2.3", "::1", "192.168.1.1", "::ffff:10.1.2.3"])
      expect(own.allows(address)).toBe(true);
    for (const address of ["10.2.0.1", "::2", "192.168.1.2", "127.0.0.1"])
      expect(own.allows(address)).toBe(false);
  });

  test("of a URL are looked at however they are written", () => {
    const urls = [
      "http://127.1/",
      "http://0x7f.1/",
      "http://2130706433/",
      "http://[::1]/",
      "http://[::ffff:7f00:1]/",
    ];
    for (const url of urls) expect(guard.refusesHost(new URL(url).hostname)).toBe(true);
    expect(guard.refusesHost("hooks.example")).toBe(false);
  });
});

describe("a webhook", () => {
  const received: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      received.push(`${request.headers.get("host")} ${await request.text()}`);
      const { pathname } = new URL(request.url);
      if (pathname === "/away") return new Response("", { status: 302, headers: { location: "/here" } });
      return new Response(pathname === "/long" ? "x".repeat(1_000_000) : "ok");
    },
  });
  afterAll(() => server.stop(true));
  const target = (url: string) => ({
    ...{ line: "a.b", url, batch: 1, headers: {}, name: {} },
    request: () => ({ body: "é", headers: { "x-signed": "yes" } }),
  });
  const to = (url: string, allowed: readonly string[]) =>
    post(target(url), [], { timeoutMs: 2_000, guard: new AddressGuard(allowed) });

  test.each(["localhost", "127.0.0.1", "[::1]", "127.1"])(
    "to http://%s is not even connected to",
    async (host) => {
      received.length = 0;
      expect(await to(`http://${host}:${server.port}/`, [])).toBe(INSIDE);
      expect(received).toEqual([]);
    },
  );

  test("whose name or address is allowed is sent, with its own host", async () => {
    received.length = 0;
    expect(await to(`http://localhost:${server.port}/`, ["127.0.0.0/8"])).toBeUndefined();
    expect(await to(`http://127.0.0.1:${server.port}/long`, ["127.0.0.1"])).toBeUndefined();
    expect(received).toEqual([`localhost:${server.port} é`, `127.0.0.1:${server.port} é`]);
  });

  test("is sent nowhere else by a redirect, and fails by name where nobody answers", async () => {
    received.length = 0;
    expect(await to(`http://127.0.0.1:${server.port}/away`, ["127.0.0.1"])).toBe("status 302");
    expect(received).toHaveLength(1);
    expect(await to("http://127.0.0.1:1/", ["127.0.0.1"])).toBe("ECONNREFUSED");
    expect(await to("http://nowhere.invalid/", [])).toBeOneOf(["ENOTFOUND", "EAI_AGAIN", "DNS_ENOTFOUND"]);
  });

  test("that does not answer is given up in time", async () => {
    using silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const began = performance.now();
    const guard = new AddressGuard(["127.0.0.1"]);
    const failure = await post(target(`http://127.0.0.1:${silent.port}/`), [], { timeoutMs: 200, guard });
    expect(failure).toBe("timeout");
    expect(performance.now() - began).toBeLessThan(1_500);
  });

  test("over TLS is checked against its name, on Bun and Deno", async () => {
    await using made = await certificates();
    using secure = Bun.serve({
      ...{ port: 0, hostname: "127.0.0.1" },
      tls: { cert: Bun.file(made.server.cert), key: Bun.file(made.server.key) },
      fetch: () => new Response("ok"),
    });
    const program = `${import.meta.dir}/../programs/post-webhook.ts`;
    const bin = fileURLToPath(new URL("../../node_modules/.bin/", import.meta.url));
    const run = async (command: string[], url: string, env: Record<string, string>) => {
      const child = Bun.spawn([...command, program, url], { env: { ...process.env, ...env } });
      return (await new Response(child.stdout).text()).trim();
    };
    const trusted = { NODE_EXTRA_CA_CERTS: made.ca, DENO_CERT: made.ca };
    for (const command of [[process.execPath], [`${bin}deno`, "run", "-A"]]) {
      const url = (host: string) => `https://${host}:${secure.port}/`;
      expect(await run(command, url("localhost"), trusted)).toBe("taken");
      // The certificate is for localhost and 127.0.0.1, and signed by nobody that is known without being told.
      expect(await run(command, url("wrong.localhost"), trusted)).not.toBe("taken");
      expect(await run(command, url("localhost"), {})).not.toBe("taken");
    }
  }, 30_000);
});
