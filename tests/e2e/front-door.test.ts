import { describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { testClient } from "../helpers/clients.ts";
import { metric } from "../helpers/hostile.ts";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { until } from "../helpers/until.ts";

/** What holds before anybody has said who it is. */

const TEST_MS = 60_000;

/** TCP connections that ask for `/healthz` and stay, each again after each answer. */
function sitters(instance: TestInstance, count: number, addressOf = (_: number) => "127.0.0.1") {
  const { hostname, port } = new URL(instance.url);
  const sockets: Socket[] = [];
  let open = 0;
  let answers = 0;
  for (let n = 0; n < count; n++) {
    const socket = connect({ port: Number(port), host: hostname, localAddress: addressOf(n) });
    const ask = () => socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    socket.on("connect", () => {
      open++;
      ask();
    });
    socket.on("data", () => {
      answers++;
      setTimeout(() => !socket.destroyed && ask(), 500);
    });
    socket.on("close", () => open--);
    socket.on("error", () => {});
    sockets.push(socket);
  }
  return {
    open: () => open,
    answers: () => answers,
    [Symbol.dispose]: () => sockets.forEach((socket) => void socket.destroy()),
  };
}

describe.each(["bun", "deno"] as const)("plain HTTP, %s", (runtime) => {
  test(
    "no more connections of one address stay open than may; everybody is answered",
    async () => {
      const config = { limits: { httpConnectionsPerIp: 5 } };
      await using instance = await startInstance({ runtime, config });
      using crowd = sitters(instance, 60);
      await until(() => crowd.answers() >= 60);
      // Deno keeps a connection whatever the answer's header says: docs/operations.md.
      if (runtime === "bun") await until(() => crowd.open() <= 5);
      expect((await fetch(`${instance.url}/readyz`)).status).toBe(200);
      expect(crowd.open()).toBeGreaterThan(0);
    },
    TEST_MS,
  );

  test(
    "commands of clients without WebSocket have a rate for each address, guesses cost more; wrong keys are slowed",
    async () => {
      const config = { limits: { requestsPerIpPerSecond: 20 } };
      await using instance = await startInstance({ runtime, config });
      const guess = () =>
        fetch(`${instance.url}/emulation`, {
          method: "POST",
          body: JSON.stringify({ node: "another", session: crypto.randomUUID(), data: "{}" }),
        });
      const statuses = (await Promise.all(Array.from({ length: 60 }, guess))).map(({ status }) => status);
      expect(statuses.filter((status) => status !== 429).length).toBeLessThan(45);
      expect((await fetch(`${instance.url}/healthz`)).status).toBe(200);
      expect(await metric(instance, 'trunkline_rejected_total{reason="request_rate"}')).toBeGreaterThan(10);

      const api = (key: string) =>
        fetch(`${instance.url}/api/info`, { method: "POST", body: "{}", headers: { "x-api-key": key } });
      const wrong = (
        await Promise.all(Array.from({ length: 60 }, (_, n) => api(`wrong-key-number-${n}`)))
      ).map(({ status }) => status);
      expect(wrong.filter((status) => status === 401).length).toBeLessThan(40);
      expect(wrong.filter((status) => status === 429).length).toBeGreaterThan(10);
      expect((await api(TEST_API_KEY)).status).toBe(200);
      expect(await metric(instance, 'trunkline_rejected_total{reason="api_key"}')).toBe(60);
    },
    TEST_MS,
  );
});

test(
  "metrics are closed on the clients' port, open on the second, and what is no page says so",
  async () => {
    const env = { TRUNKLINE_HTTP_PUBLIC_METRICS: "false" };
    await using instance = await startInstance({ env });
    const closed = await fetch(`${instance.url}/metrics`);
    expect([closed.status, (await closed.text()).includes("trunkline_connections ")]).toEqual([403, false]);
    for (const path of ["/metrics", "/healthz", "/regions", "/nothing"]) {
      const { headers } = await fetch(`${instance.url}${path}`);
      expect([path, headers.get("x-content-type-options")]).toEqual([path, "nosniff"]);
      expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
    }
    await using tokened = await startInstance({
      env: { ...env, TRUNKLINE_HTTP_METRICS_TOKEN: "a-token-of-the-tests" },
    });
    const ask = (token: string) =>
      fetch(`${tokened.url}/metrics`, { headers: { authorization: `Bearer ${token}` } });
    expect((await ask("another-token-of-tests")).status).toBe(401);
    expect((await ask("a-token-of-the-tests")).status).toBe(200);
  },
  TEST_MS,
);

test(
  "dev answers pages of this machine, and no names but its own",
  async () => {
    await using instance = await startInstance({ command: "dev", env: { TRUNKLINE_API_KEYS: "" } });
    const stream = (origin: string) =>
      fetch(`${instance.url}/connection/http_stream`, {
        method: "POST",
        headers: { origin },
        body: '{"id":1,"connect":{}}',
      });
    for (const origin of [
      "https://evil.example",
      "null",
      "http://localhost.evil.example",
      "http://127.0.0.1.evil.io",
    ]) {
      const { status, headers } = await stream(origin);
      expect([origin, status, headers.get("access-control-allow-origin")]).toEqual([origin, 403, null]);
    }
    for (const origin of ["http://localhost:5173", "http://127.0.0.1:3000", "http://app.localhost"]) {
      const { status } = await stream(origin);
      expect([origin, status]).toEqual([origin, 200]);
    }
    const token = (host: string) => fetch(`${instance.url}/dev/token?user=ann`, { headers: { host } });
    expect((await token("evil.example")).status).toBe(421);
    const { apiKey } = (await (await token("localhost:8080")).json()) as { apiKey: string };
    expect(apiKey).toMatch(/^dev-[0-9a-f]{32}$/);
    const call = (host: string, key: string) =>
      fetch(`${instance.url}/api/info`, { method: "POST", body: "{}", headers: { host, "x-api-key": key } });
    expect((await call("evil.example", apiKey)).status).toBe(421);
    expect((await call("localhost", "dev-api-key-of-trunkline")).status).toBe(401);
    expect((await call("localhost", apiKey)).status).toBe(200);
  },
  TEST_MS,
);

// Deno keeps every connection that asks once: docs/limits.md says what must stand before it.
test.each([
  ["one address", (_: number) => "127.0.0.1"],
  ["fifty addresses", (n: number) => `127.0.1.${1 + (n % 50)}`],
])(
  "with 700 descriptors 900 connections of %s that stay keep nobody out",
  async (_, addressOf) => {
    const config = { limits: { requestsPerIpPerSecond: 0 } };
    await using instance = await startInstance({ config, descriptors: 700 });
    using crowd = sitters(instance, 900, addressOf);
    await until(() => crowd.answers() >= 300);
    for (let round = 0; round < 5; round++) {
      const began = performance.now();
      using client = testClient(instance.websocket, { user: "stranger" });
      await client.connected();
      expect((await fetch(`${instance.url}/readyz`)).status).toBe(200);
      expect(performance.now() - began).toBeLessThan(3_000);
      await Bun.sleep(200);
    }
    const open = await metric(instance, "trunkline_process_open_fds").catch(() => Number.NaN);
    expect(crowd.open()).toBeLessThan(444);
    expect(instance.lines.filter(({ level }) => level === "error")).toEqual([]);
    expect(open).not.toBeGreaterThan(700);
  },
  TEST_MS,
);
