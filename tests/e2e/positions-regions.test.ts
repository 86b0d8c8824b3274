import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, rm } from "node:fs/promises";
import { connect, type NatsConnection } from "nats";
import { startWorld, type World } from "../../src/world/world.ts";
import { receives, type TestSubscription, testClient } from "../helpers/clients.ts";
import { TEST_API_KEY } from "../helpers/instances.ts";
import { type KnownPosition, range } from "../helpers/positions.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** The store of a home region goes back: its copies in other regions have what it lost. */

const TEST_MS = 90_000;
const COPY = "RT_chat_sin";

let world: World;
let home: NatsConnection;

beforeAll(async () => {
  world = await startWorld({
    regions: ["iad", "fra", "sin"],
    secrets: { token: TEST_SECRET, apiKey: TEST_API_KEY },
  });
  home = await connect({
    ...{ servers: world.region("iad").nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 },
  });
}, TEST_MS);

afterAll(async () => {
  await home?.close();
  await world?.[Symbol.asyncDispose]();
});

const info = async (name: string) => (await home.jetstreamManager({ timeout: 1_000 })).streams.info(name);

/** Waits until the copy is of the stream's life and holds what it holds. */
async function level(): Promise<void> {
  const same = async () => {
    const [origin, copy] = await Promise.all([info("RT_chat"), info(COPY)]);
    const life = /life (\w+)/;
    return (
      origin.state.last_seq === copy.state.last_seq &&
      life.exec(origin.config.description ?? "")?.[1] === life.exec(copy.config.description ?? "")?.[1]
    );
  };
  await until(() => same().catch(() => false), { what: "the copy to be level", timeoutMs: 40_000 });
}

async function serve(channel: string, numbers: readonly number[]): Promise<void> {
  for (const n of numbers) {
    const msgID = `${channel} ${n}`;
    const publish = () =>
      home
        .jetstream()
        .publish(`rt.chat.${channel}`, String(n), { msgID, timeout: 1_000 })
        .catch(() => undefined);
    await until(publish, { what: "a publish to be acknowledged", timeoutMs: 30_000 });
  }
}

/** What a client that comes back to a region is told: bodies, or that its position cannot be recovered. */
async function returns(region: string, channel: string, since: KnownPosition): Promise<string> {
  using client = testClient(world.region(region).instances[0]!.websocket, { user: "bob" });
  await client.connected();
  const { subscribed, received } = await client.subscribe(`chat:${channel}`, { since });
  return subscribed[0]!.recovered ? received.map(({ data }) => data).join(" ") : "told";
}

/** Thirty messages, a copy of the home's store, six more that are everywhere; then the store goes back. */
async function goBack(channel: string, room: TestSubscription) {
  const nats = world.region("iad").nats;
  await serve(channel, range(1, 30));
  await receives(room, 30);
  await level();
  await nats.kill();
  await cp(nats.storeDir, `${nats.storeDir}-copy`, { recursive: true });
  await nats.restart();
  await serve(channel, range(31, 36));
  await receives(room, 36);
  await level();
  await nats.kill();
  await rm(nats.storeDir, { recursive: true, force: true });
  await cp(`${nats.storeDir}-copy`, nats.storeDir, { recursive: true });
  await rm(`${nats.storeDir}-copy`, { recursive: true, force: true });
  await nats.restart();
}

/** The position of a message that a subscription got. */
function positionOf({ received, subscribed }: TestSubscription, body: number): KnownPosition {
  const { offset } = received.find(({ data }) => data === body)!;
  return { offset: offset!, epoch: subscribed[0]!.streamPosition!.epoch };
}

for (const [name, fresh] of [
  ["a copy ahead of its home", []],
  ["a copy that mixes two pasts", range(1_031, 1_070)],
] as const) {
  test(
    name,
    async () => {
      const channel = name.replaceAll(" ", "-");
      using client = testClient(world.region("sin").instances[0]!.websocket, { user: "ann" });
      await client.connected();
      const room = await client.subscribe(`chat:${channel}`);
      await goBack(channel, room);
      const [at30, at36] = [positionOf(room, 30), positionOf(room, 36)];
      await serve(channel, fresh);
      // Where the home is, never believed; elsewhere not once the home answers (while it is away its copy must do). Who has
      // only what stands gets the rest, and never a part of it or the lost past.
      const bodies = fresh.join(" ");
      for (const region of ["iad", "sin", "fra"]) {
        const lost: string[] = [];
        const answers = async () => {
          lost.push(await returns(region, channel, at36));
          return lost.at(-1) === "told";
        };
        await until(answers, { what: `${region} to answer`, timeoutMs: 30_000 });
        if (region === "iad") expect(lost).toEqual(["told"]);
        // All of it or told: whoever finds the cut first may remember nothing from before it, and end the whole life.
        expect(["told", bodies]).toContain(await returns(region, channel, at30));
        expect(await returns(region, channel, at36)).toBe("told");
      }
      // Whoever is connected is cut off, and has what stands.
      await until(() => room.subscribed.length > 1, { what: "to be told", timeoutMs: 20_000 });
      if (fresh.length === 0) expect(room.subscribed[1]).toMatchObject({ recovered: false });
      await serve(channel, [2_000]);
      await until(() => room.data().at(-1) === 2_000, { what: "what is new", timeoutMs: 20_000 });
      // The copy is made anew, and holds what its home does.
      await level();
      const page = async (stream: string) => {
        const { streams } = await home.jetstreamManager();
        const found: string[] = [];
        const { state } = await streams.info(stream);
        for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
          found.push((await streams.getMessage(stream, { seq })).header.get("Nats-Msg-Id"));
        }
        return found;
      };
      expect(await page(COPY)).toEqual(await page("RT_chat"));
    },
    TEST_MS,
  );
}
