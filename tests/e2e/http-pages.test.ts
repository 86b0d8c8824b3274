import { expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadAssets } from "../../src/http/assets.ts";
import { httpServer } from "../helpers/http-server.ts";

/** Reads Prometheus' text format strictly: every line a comment or a sample. */
function parseMetrics(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "" || /^# (HELP|TYPE) (?:trunkline|process)_[a-z_]+ \S/.test(line)) continue;
    const sample =
      /^((?:trunkline|process)_[a-z_]+(?:\{(?:[a-z_]+="[^"\\\n]*",?)+\})?) ([0-9.e+-]+|\+Inf)$/.exec(line);
    if (!sample) throw new Error(`not a line of the format: ${line}`);
    samples.set(sample[1]!, Number(sample[2]));
  }
  return samples;
}

test("metrics copy the instance's counters, and count each latency once", async () => {
  await using server = httpServer();
  const { stats } = server;
  stats.connectsBy.set("websocket pusher", 7);
  stats.bytesOut = 1234;
  stats.ringHits = 3;
  stats.publishBacklog = 5;
  stats.rejected.set("origin", 2);
  stats.callouts.set('q"\\\n refresh ok', 1);
  stats.recoveries.set("ring", 9);
  for (const ms of [0.4, 30]) stats.presenceLatency.observeMs(ms);
  stats.callouts.clear();
  const read = async () => {
    const response = await fetch(`${server.http}/metrics`);
    expect(response.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
    return parseMetrics(await response.text());
  };
  const first = await read();
  expect(Object.fromEntries(first)).toMatchObject({
    'trunkline_connects_total{transport="websocket",protocol="pusher"}': 7,
    trunkline_sent_bytes_total: 1234,
    trunkline_ring_hits_total: 3,
    trunkline_publish_backlog: 5,
    trunkline_connections: 0,
    'trunkline_rejected_total{reason="origin"}': 2,
    'trunkline_recoveries_total{outcome="ring"}': 9,
    'trunkline_presence_latency_seconds_bucket{le="0.0005"}': 1,
    'trunkline_presence_latency_seconds_bucket{le="+Inf"}': 2,
    'trunkline_overload_state{state="ok"}': 1,
    'trunkline_overload_state{state="refusing"}': 0,
    trunkline_event_loop_delay_seconds: 0.012,
    trunkline_resident_memory_bytes: 1_000_000,
    trunkline_broker_connected: 1,
    trunkline_presence_degraded: 0,
    trunkline_scrape_errors_total: 0,
    'trunkline_build_info{version="0.0.0",runtime="bun",region="here",instance="one"}': 1,
  });
  stats.connectsBy.set("websocket pusher", 8);
  stats.presenceLatency.observeMs(1);
  const second = await read();
  expect(second.get('trunkline_connects_total{transport="websocket",protocol="pusher"}')).toBe(8);
  expect(second.get("trunkline_presence_latency_seconds_count")).toBe(3);
});

test("counters with labels are there from the start, and two who scrape at once see the same", async () => {
  await using server = httpServer();
  const { stats } = server;
  const read = async () => parseMetrics(await (await fetch(`${server.http}/metrics`)).text());
  const names = [
    'rejected_total{reason="ip_rate"}',
    'command_errors_total{code="103"}',
    'command_errors_total{code="AuthError"}',
    'disconnects_total{code="3012"}',
    'publishes_total{namespace="chat"}',
    'publish_errors_total{namespace="chat",code="100"}',
    'callouts_total{to="backend",kind="rpc",code="timeout"}',
    'recoveries_total{outcome="failed"}',
    'connects_total{transport="sse",protocol="centrifuge-json"}',
    'subscriptions{namespace="chat"}',
  ];
  const first = await read();
  expect(names.map((name) => first.get(`trunkline_${name}`))).toEqual(names.map(() => 0));
  stats.published("chat", { offset: 1, duplicate: false }, 3);
  stats.publishFailed("chat", 106, 7);
  stats.ended(4_999);
  const [one, two] = await Promise.all([read(), read()]);
  for (const seen of [one, two, await read()]) {
    expect(seen.get('trunkline_publishes_total{namespace="chat"}')).toBe(1);
    expect(seen.get('trunkline_publish_errors_total{namespace="chat",code="106"}')).toBe(1);
    expect(seen.get('trunkline_publish_latency_seconds_count{namespace="chat",code="ok"}')).toBe(1);
    expect(seen.get('trunkline_disconnects_total{code="other"}')).toBe(1);
  }
});

test("a number that cannot be read is counted, and the page still comes", async () => {
  await using server = httpServer();
  server.world.residentBytes = () => {
    throw new Error("too many open files");
  };
  await fetch(`${server.http}/metrics`);
  const response = await fetch(`${server.http}/metrics`);
  expect(response.status).toBe(200);
  const samples = parseMetrics(await response.text());
  expect(samples.get("trunkline_scrape_errors_total")).toBeGreaterThanOrEqual(1);
  expect(samples.get("trunkline_pings_sent_total")).toBe(0);
});

test("metrics ask for their token where one is set", async () => {
  await using server = httpServer({ options: { metricsToken: "a-token" } });
  const status = async (authorization?: string) =>
    (await fetch(`${server.http}/metrics`, authorization ? { headers: { authorization } } : {})).status;
  expect(await status()).toBe(401);
  expect(await status("Bearer wrong")).toBe(401);
  expect(await status("Basic a-token")).toBe(401);
  expect(await status("bearer a-token")).toBe(200);
});

test("alive is not ready: draining, a broker away and refusing are said", async () => {
  await using server = httpServer();
  const { world } = server;
  const ready = async () => {
    expect((await fetch(`${server.http}/healthz`)).status).toBe(200);
    const response = await fetch(`${server.http}/readyz`);
    return [response.status, ((await response.json()) as { reasons?: string[] }).reasons];
  };
  expect(await ready()).toEqual([200, undefined]);
  world.broker = { state: "disconnected", sinceMs: Date.now() };
  expect(await ready()).toEqual([200, undefined]);
  world.broker = { state: "disconnected", sinceMs: Date.now() - 1_500 };
  expect(await ready()).toEqual([503, ["broker away"]]);
  world.broker = { state: "connecting", sinceMs: Date.now() };
  expect(await ready()).toEqual([503, ["broker connecting"]]);
  world.broker = { state: "connected", sinceMs: Date.now() };
  world.overload = "shedding";
  expect(await ready()).toEqual([200, undefined]);
  world.overload = "refusing";
  world.draining = true;
  expect(await ready()).toEqual([503, ["draining", "overloaded"]]);
  world.presence = "degraded";
  world.overload = "ok";
  world.draining = false;
  expect(await ready()).toEqual([200, undefined]);
});

test("pages and the client library are served from a closed list, with a policy", async () => {
  const directory = await mkdtemp(join(tmpdir(), "trunkline-pages-"));
  try {
    await writeFile(join(directory, "index.html"), "<!doctype html><title>demo</title>");
    await writeFile(join(directory, "demo.js"), "export {};");
    await writeFile(join(directory, "secrets.env"), "KEY=1");
    await using server = httpServer({ assets: await loadAssets(directory) });
    const get = (path: string, init: RequestInit = {}) => fetch(server.http + path, init);

    const page = await get("/");
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(page.headers.get("content-security-policy")).toContain("script-src 'self';");
    expect(page.headers.get("x-content-type-options")).toBe("nosniff");
    expect(await page.text()).toContain("<title>demo</title>");
    const etag = page.headers.get("etag")!;
    expect((await get("/", { headers: { "if-none-match": etag } })).status).toBe(304);
    expect((await get("/", { method: "HEAD" })).headers.get("etag")).toBe(etag);

    const script = await get("/demo.js");
    expect(script.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    // Pages of other hosts may import it; what is no script is not for them.
    expect(script.headers.get("access-control-allow-origin")).toBe("*");
    expect(page.headers.get("access-control-allow-origin")).toBeNull();
    const library = await get("/assets/centrifuge.js");
    expect([library.status, (await library.text()).includes("Centrifuge")]).toEqual([200, true]);
    for (const path of [
      "/secrets.env",
      "/index.html",
      "/../package.json",
      "/%2e%2e/package.json",
      "/src/main.ts",
    ]) {
      expect([path, (await get(path)).status]).toEqual([path, 404]);
    }
  } finally {
    await rm(directory, { recursive: true });
  }
});

test("without pages there is still a line at /", async () => {
  await using server = httpServer({ assets: await loadAssets("/nowhere/at/all") });
  const response = await fetch(server.http);
  expect([response.status, await response.text()]).toEqual([
    200,
    expect.stringContaining("/connection/websocket"),
  ]);
});
