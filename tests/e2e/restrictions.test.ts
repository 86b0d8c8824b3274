import { expect, test } from "bun:test";
import { SignJWT } from "jose";
import { connect } from "nats";
import { startWorld } from "../../src/world/world.ts";
import { testClient } from "../helpers/clients.ts";
import { trunkline } from "../helpers/command.ts";
import { callApi, startInstance, TEST_API_KEY } from "../helpers/instances.ts";
import { rolesServer } from "../helpers/nats-roles.ts";
import { natsServer } from "../helpers/servers.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Rights that are taken back: in every region, after a cold start, and by every way to say so. */

const EFFECTIVE_MS = 1_000;
const nowSeconds = () => Math.floor(Date.now() / 1_000);

const tokenOf = (user: string, claims: Record<string, unknown> = {}) =>
  new SignJWT({ sub: user, iat: nowSeconds(), exp: nowSeconds() + 3_600, ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(TEST_SECRET));

const codeOf = (client: ReturnType<typeof testClient>) =>
  new Promise<number>((resolve) => client.centrifuge.once("disconnected", ({ code }) => resolve(code)));

test("a block holds in three regions within a second, and a revoked token is replaced by the stock client", async () => {
  await using world = await startWorld({
    regions: ["iad", "fra", "sin"],
    latency: 150,
    secrets: { token: TEST_SECRET, apiKey: TEST_API_KEY },
  });
  const at = (region: string) => world.region(region).instances[0]!;
  const clients = ["iad", "fra", "sin"].map((region) =>
    testClient(`${at(region).url.replace("http", "ws")}/connection/websocket`, { user: "mallory" }),
  );
  await Promise.all(clients.map((client) => client.connected()));
  const ended = clients.map(codeOf);
  const begin = performance.now();
  const times = ended.map((end) => end.then(() => performance.now() - begin));
  await callApi(at("sin").url, "block", { user: "mallory", expire_at: nowSeconds() + 60 });
  expect(await Promise.all(ended)).toEqual([4502, 4502, 4502]);
  const took = await Promise.all(times);
  console.log(`a block held after ${took.map((ms) => Math.round(ms)).join(", ")} ms in iad, fra, sin`);
  for (const ms of took) expect(ms).toBeLessThan(EFFECTIVE_MS);
  for (const client of clients) client[Symbol.dispose]();

  let asked = 0;
  using ann = testClient(`${at("fra").url.replace("http", "ws")}/connection/websocket`, {
    token: await tokenOf("ann", { jti: "stolen" }),
    getToken: () => {
      asked++;
      return tokenOf("ann", { jti: `fresh-${asked}` });
    },
  } as never);
  await ann.connected();
  const before = asked;
  await callApi(at("iad").url, "revoke", { token_id: before === 0 ? "stolen" : `fresh-${asked}` });
  await until(() => asked > before);
  await ann.connected();
}, 60_000);

test("what was taken back stands after a cold start, without Redis, on the same NATS", async () => {
  await using nats = await natsServer();
  const env = { NATS_URL: nats.url };
  {
    await using first = await startInstance({ env });
    await first.api("block", { user: "mallory", expire_at: nowSeconds() + 600, reason: "spam" });
    await first.api("block", { address: "127.0.0.1", expire_at: nowSeconds() + 1 });
    await first.kill();
  }
  await nats.kill();
  await nats.restart();
  await using second = await startInstance({ env });
  using mallory = testClient(second.websocket, { user: "mallory" });
  const end = codeOf(mallory);
  await until(async () => (await fetch(`${second.url}/healthz`)).ok);
  mallory.centrifuge.connect();
  expect(await end).toBe(4502);
  const { restrictions } = await second.api<{ restrictions: object[] }>("restrictions", {});
  expect(restrictions).toContainEqual(
    expect.objectContaining({ kind: "user", user: "mallory", reason: "spam" }),
  );
}, 60_000);

test("a stream that is deleted is made anew, with what was in it", async () => {
  await using nats = await natsServer();
  await using instance = await startInstance({ env: { NATS_URL: nats.url } });
  await instance.api("block", { user: "mallory" });
  const nc = await connect({ servers: nats.url });
  const jsm = await nc.jetstreamManager();
  await jsm.streams.delete("RT_ENTRIES");
  await until(
    async () => (await jsm.streams.info("RT_ENTRIES").catch(() => undefined))?.state.messages === 1,
    { timeoutMs: 30_000, what: "the stream to be there again" },
  );
  await nc.close();
  await using late = await startInstance({ env: { NATS_URL: nats.url } });
  using mallory = testClient(late.websocket, { user: "mallory" });
  const end = codeOf(mallory);
  mallory.centrifuge.connect();
  expect(await end).toBe(4502);
}, 60_000);

test("the commands work over NATS with the control role, and over the server API", async () => {
  await using nats = await rolesServer("passwords");
  await using instance = await startInstance({ env: nats.gateway });
  const env = {
    NATS_URL: nats.url,
    TRUNKLINE_NATS_USER: "control",
    TRUNKLINE_NATS_PASSWORD: nats.env.CONTROL_PASSWORD ?? "",
  };
  using mallory = testClient(instance.websocket, { user: "mallory" });
  await mallory.connected();
  const end = codeOf(mallory);
  const blocked = await trunkline(["block", "--user", "mallory", "--for", "1h", "--reason", "spam"], { env });
  expect([blocked.code, blocked.err]).toEqual([0, ""]);
  expect(await end).toBe(4502);
  const listed = await trunkline(["list"], { env });
  expect(listed.out).toMatch(/user +user=mallory +until .* spam/);
  const overHttp = { TRUNKLINE_API_KEYS: TEST_API_KEY };
  const unblocked = await trunkline(["unblock", "--user", "mallory", "--url", instance.url], {
    env: overHttp,
  });
  expect([unblocked.code, unblocked.err]).toEqual([0, ""]);
  expect((await trunkline(["list", "--url", instance.url], { env: overHttp })).out).toContain("nothing");
  for (const wrong of [
    ["block"],
    ["block", "--user", "a", "--for", "soon"],
    ["revoke", "--issued-before", "x"],
  ]) {
    const { code, err } = await trunkline(wrong, { env });
    expect([wrong, code, err !== ""]).toEqual([wrong, 1, true]);
  }
  const nc = await nats.as("operator");
  const events = await nc
    .jetstreamManager()
    .then((jsm) => jsm.streams.info("RT_EVENTS", { subjects_filter: "rtevt.audit" }));
  expect(events.state.subjects).toEqual({ "rtevt.audit": 2 });
  await nc.close();
}, 60_000);
