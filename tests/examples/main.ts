import { deepEqual, equal } from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { openBrowser } from "../helpers/browser.ts";
import { testClient } from "../helpers/clients.ts";
import { step } from "../helpers/examples.ts";
import { startInstance } from "../helpers/instances.ts";
import { connectionToken, TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";
import { Missing, phpWorld, type World, worlds } from "./worlds.ts";

/*
 * Starts and uses the examples in other languages, each with a stock client. One whose language is not on this machine is
 * named, and counts for nothing.
 */

const post = (url: string) => fetch(url, { method: "POST" });

/** A callout, an RPC and its error, a publish that is repeated, and events. */
async function fastapi({ gateway, backend }: World): Promise<void> {
  using stranger = testClient(gateway.websocket, { data: { session: "nobody" } });
  const refused = new Promise<number>((resolve) =>
    stranger.centrifuge.on("disconnected", ({ code }) => resolve(code)),
  );
  stranger.centrifuge.connect();
  equal(await refused, 4501);
  using ann = testClient(gateway.websocket, { data: { session: "session-of-ann" } });
  await ann.connected();
  const { data: order } = await ann.centrifuge.rpc("orders.create", { sku: "tea" });
  deepEqual(order, { id: 1, user: "ann", sku: "tea", status: "new" });
  const problem = await ann.centrifuge.rpc("orders.create", {}).catch(({ code }: { code: number }) => code);
  equal(problem, 400);
  const following = await ann.subscribe("orders:1");
  const first = await post(`${backend.url}/orders/1/status/shipped`);
  const again = await post(`${backend.url}/orders/1/status/shipped`);
  equal(((await first.json()) as { duplicate: boolean }).duplicate, false);
  equal(((await again.json()) as { duplicate: boolean }).duplicate, true);
  await until(() => following.data().length === 1, { what: "the status to come" });
  deepEqual(following.data(), [{ order: 1, status: "shipped" }]);
  const online = async () => (await (await fetch(`${backend.url}/online`)).json()) as string[];
  await until(async () => (await online())[0] === "ann", { what: "ann to be online" });
  ann.centrifuge.disconnect();
  await until(async () => (await online()).length === 0, { what: "ann to be gone" });
}

/** A message that waits for its user, a token, and signed webhooks. */
async function goOrders({ gateway, backend }: World): Promise<void> {
  const change = `${backend.url}/users/ann/orders/7/shipped`;
  deepEqual(((await (await post(change)).json()) as { duplicate: boolean }).duplicate, false);
  deepEqual(((await (await post(change)).json()) as { duplicate: boolean }).duplicate, true);
  using ann = testClient(gateway.websocket, {
    getToken: async () => await (await fetch(`${backend.url}/token/ann`)).text(),
  });
  const got: unknown[] = [];
  ann.centrifuge.on("publication", ({ data }) => got.push(data));
  await ann.connected();
  await until(() => got.length > 0, { what: "the inbox to come" });
  deepEqual(got, [{ order: "7", status: "shipped" }]);
  const online = async () => await (await fetch(`${backend.url}/online/ann`)).text();
  await until(async () => (await online()) === "true", { what: "the webhook of the connect" });
  ann.centrifuge.disconnect();
  await until(async () => (await online()) === "false", { what: "the webhook of the disconnect" });
  const forged = await fetch(`${backend.url}/webhooks`, {
    method: "POST",
    headers: { "webhook-id": "x", "webhook-timestamp": String(Math.floor(Date.now() / 1000)) },
    body: '{"events":[{"type":"connect","user":"ann","client":"x"}]}',
  });
  equal(forged.status, 401);
}

/** The page of the Laravel Echo example, with a backend in PHP. */
async function php({ backend }: World): Promise<void> {
  const browser = await openBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(`${backend.url}/?order=7`);
    await page.getByText("following order 7").waitFor({ timeout: 10_000 });
    equal((await post(`${backend.url}/orders/7/ship`)).status, 204);
    await page.locator("#events li", { hasText: "shipped" }).waitFor({ timeout: 10_000 });
    await page.goto(`${backend.url}/?order=0`);
    await page.getByText("refused").waitFor({ timeout: 10_000 });
  } finally {
    await browser.close();
  }
}

/** What docs/backends.md shows, in each language that is there. Says which are not. */
async function backends(): Promise<void> {
  const page = await Bun.file(join(import.meta.dir, "../../docs/backends.md")).text();
  const blocks = [...page.matchAll(/^```\w+ title="([^"]+)"\n([\s\S]*?)^```$/gm)];
  const runners: Readonly<Record<string, readonly string[]>> = {
    ...{ py: ["python3"], php: ["php"], rb: ["ruby"], go: ["go", "run"] },
  };
  const folder = await mkdtemp(join(tmpdir(), "trunkline-backends-"));
  const secret = TEST_SECRET;
  const keys = { TRUNKLINE_TOKEN_SECRET: secret, TRUNKLINE_API_KEYS: "a-key-of-the-examples" };
  await using gateway = await startInstance({ env: keys });
  using listener = testClient(gateway.websocket, { token: await connectionToken({ user: "ann" }) });
  await listener.connected();
  const room = await listener.subscribe("chat:room.42");
  const expected: string[] = [];
  for (const [, name = "", text = ""] of blocks) {
    const command = runners[name.split(".")[1]!]!;
    if (!Bun.which(command[0]!)) {
      console.log(`docs/backends.md: ${name}: skipped: there is no ${command[0]} on this machine`);
      continue;
    }
    await Bun.write(join(folder, name), text);
    const out = await step(folder, [...command, name], { ...keys, GATEWAY_URL: gateway.url });
    if (name.startsWith("publish")) {
      expected.push(/hi from \w+/.exec(text)![0]);
      await until(() => room.received.length === expected.length, { what: `what ${name} published` });
    } else {
      using client = testClient(gateway.websocket, { token: out.trim() });
      await client.connected();
    }
  }
  deepEqual(
    room.data(),
    expected.map((text) => ({ text })),
  );
  await rm(folder, { recursive: true, force: true });
}

const NOTHING = (): Promise<World> => Promise.resolve({} as World);
const EXAMPLES: Readonly<Record<string, [() => Promise<World>, (world: World) => Promise<void>]>> = {
  "FastAPI: callout, RPC, publishing, events": [worlds.fastapi, fastapi],
  "Go: inbox, tokens, webhooks": [worlds.goOrders, goOrders],
  "Laravel Echo with plain PHP": [phpWorld, php],
  "docs/backends.md": [NOTHING, backends],
};

let [passed, failed, skipped] = [0, 0, 0];
for (const [name, [start, use]] of Object.entries(EXAMPLES)) {
  try {
    const world = await start();
    await using _world = { [Symbol.asyncDispose]: async () => world[Symbol.asyncDispose]?.() };
    await use(world);
    console.log(`${name}: ok`);
    passed++;
  } catch (error) {
    if (error instanceof Missing) {
      console.log(`${name}: skipped: ${error.message}`);
      skipped++;
    } else {
      console.log(`${name}: FAILED: ${error instanceof Error ? error.stack : String(error)}`);
      failed++;
    }
  }
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);
