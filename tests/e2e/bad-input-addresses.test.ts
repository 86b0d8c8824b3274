import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { exchange, LOUD, stranger, unharmed } from "../helpers/hostile.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import type { RawWebSocket } from "../helpers/raw-websocket.ts";
import { until } from "../helpers/until.ts";

/** Where a client says it comes from: pages, proxies, and connections that say nothing at all. */

const PAGE = "https://app.example.com";

const ORIGINS: readonly (readonly [what: string, origin: string | undefined, status: number])[] = [
  ["the listed page", PAGE, 101],
  ["the listed page, its default port named", `${PAGE}:443`, 101],
  ["the listed page in upper case", PAGE.toUpperCase(), 101],
  ["no page at all", undefined, 101],
  ["an app with a scheme of its own that is listed", "capacitor://localhost", 101],
  ["a sandboxed frame", "null", 403],
  ["nothing", "", 403],
  ["a page on another port", `${PAGE}:8443`, 403],
  ["a page without TLS", "http://app.example.com", 403],
  ["a page on a host that begins like it", `${PAGE}.evil.test`, 403],
  ["a page on a host that ends like it", "https://evil-app.example.com", 403],
  ["a page on a host below it", "https://x.app.example.com", 403],
  ["a page on the host above it", "https://example.com", 403],
  ["its name as a user", `${PAGE}@evil.test`, 403],
  ["its name with a path", `${PAGE}/`, 403],
  ["its name with a dot behind", `${PAGE}.`, 403],
  ["its name twice", `${PAGE}, ${PAGE}`, 403],
  ["its name and another's", `${PAGE} https://evil.test`, 403],
  ["a look-alike in Cyrillic", "https://\u0430pp.example.com", 403],
  ["an extension", "chrome-extension://abcdefghijklmnop", 403],
  ["a file", "file://", 403],
  ["anything", "*", 403],
  ["this very host on another port", "http://127.0.0.1:1", 403],
  ["this very host by another name", "http://localhost", 403],
];

for (const runtime of ["bun", "deno"] as const) {
  describe(`origins on ${runtime}`, () => {
    let instance: TestInstance;
    beforeAll(async () => {
      const config = { ...LOUD, http: { allowedOrigins: [PAGE, "capacitor://localhost"] } };
      instance = await startInstance({ runtime, config });
    }, 60_000);
    afterAll(async () => {
      await using ended = instance;
      await unharmed(ended);
    });

    for (const [what, origin, status] of ORIGINS) {
      test(`${what} gets ${status}`, async () => {
        using client = await stranger(instance, { Origin: origin });
        expect(client.status).toBe(status);
      });
    }

    test("pages of this very host get in, and what they say of the host is no way around", async () => {
      using own = await stranger(instance, { Origin: instance.url });
      expect(own.status).toBe(101);
      const { host } = new URL(instance.url);
      for (const forged of [
        { Origin: "https://evil.test", "X-Forwarded-Host": "evil.test" },
        { Origin: "https://evil.test", Forwarded: "host=evil.test" },
        { Origin: `http://${host}.evil.test` },
        { Origin: `http://evil.test/${host}` },
      ]) {
        using client = await stranger(instance, forged);
        expect([forged, client.status]).toEqual([forged, 403]);
      }
    });
  });

  describe(`addresses on ${runtime}`, () => {
    /** How many of these connections get in, two of one address being allowed. */
    async function admitted(
      instance: TestInstance,
      headers: readonly Record<string, string>[],
    ): Promise<number> {
      const clients: RawWebSocket[] = [];
      for (const own of headers) clients.push(await stranger(instance, own));
      const count = clients.filter(({ status }) => status === 101).length;
      for (const client of clients) client[Symbol.dispose]();
      return count;
    }
    const limits = { connectionsPerIp: 2 };
    const forwarded = (...values: string[]) => values.map((value) => ({ "X-Forwarded-For": value }));

    test("without a trusted proxy nobody is believed about an address", async () => {
      await using instance = await startInstance({ runtime, config: { ...LOUD, limits } });
      const claims = [
        ...forwarded("1.1.1.1", "2.2.2.2", "3.3.3.3, 127.0.0.1"),
        ...["Fly-Client-IP", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP"].map(
          (name) => ({
            [name]: "4.4.4.4",
          }),
        ),
        { Forwarded: "for=5.5.5.5" },
      ];
      expect(await admitted(instance, claims)).toBe(2);
      await unharmedLater(instance);
    }, 20_000);

    test("behind a trusted proxy only what it appended counts", async () => {
      const proxy = { trust: "header", cidrs: ["127.0.0.0/8", "10.0.0.0/8"] };
      await using instance = await startInstance({ runtime, config: { ...LOUD, limits, proxy } });
      // What the client wrote itself stands in front.
      expect(
        await admitted(instance, forwarded("1.1.1.1, 9.9.9.9", "2.2.2.2, 9.9.9.9", "10.0.0.1, 9.9.9.9")),
      ).toBe(2);
      expect(
        await admitted(instance, forwarded("8.8.8.1", "8.8.8.2", "8.8.8.3, 10.1.1.1", "8.8.8.4, 10.2.2.2")),
      ).toBe(4);
      // One and the same address in many clothes, and one customer's many addresses.
      expect(
        await admitted(instance, forwarded("7.7.7.7", "::ffff:7.7.7.7", "7.7.7.7:80", "[::ffff:7.7.7.7]:80")),
      ).toBe(2);
      expect(await admitted(instance, forwarded("2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"))).toBe(
        2,
      );
      // What is no address is not read past: the proxy itself is counted.
      const garbage = [
        "x",
        "1.1.1",
        "0x7f.1",
        "127.1",
        "1.1.1.1 ",
        "' OR 1=1",
        "unknown",
        ",,,",
        "1.1.1.1, x",
      ];
      expect(await admitted(instance, forwarded(...garbage, "9.9.9.9,".repeat(500)))).toBeLessThanOrEqual(5);
      await unharmedLater(instance);
    }, 20_000);

    test("on Fly its own header counts, and no other", async () => {
      const proxy = { trust: "fly" };
      await using instance = await startInstance({ runtime, config: { ...LOUD, limits, proxy } });
      const own = ["6.6.6.6", "6.6.6.6", "6.6.6.6"].map((ip, n) => ({
        "Fly-Client-IP": ip,
        "X-Forwarded-For": `1.1.1.${n}`,
      }));
      expect(await admitted(instance, own)).toBe(2);
      await unharmedLater(instance);
    }, 20_000);

    /** Once the places of the refused and the gone are free again. */
    async function unharmedLater(instance: TestInstance): Promise<void> {
      await until(async () => {
        using client = await stranger(instance);
        return client.status === 101;
      });
      await unharmed(instance);
    }
  });
}

// Deno gives a request's head all the time in the world: a proxy belongs in front of it.
test("on Bun connections that say nothing, or too little, are cut off after about 12 s", async () => {
  await using instance = await startInstance({ config: LOUD });
  const begin = performance.now();
  const first = [
    "",
    "G",
    "GET /connection/websocket HTTP/1.1\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "POST /api/info HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
  ];
  const answers = await Promise.all([
    ...first.map((bytes) => exchange(instance, bytes, 20_000)),
    exchange(instance, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", 20_000, 1_000),
  ]);
  for (const answer of answers) expect(answer).toBeDefined();
  expect(performance.now() - begin).toBeWithin(8_000, 18_000);
  await unharmed(instance);
}, 30_000);
