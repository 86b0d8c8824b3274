import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, rm } from "node:fs/promises";
import { connect, type NatsConnection } from "nats";
import { startWorld, type World } from "../../src/world/world.ts";
import { receives, type TestSubscription, testClient } from "../helpers/clients.ts";
import { callApi, TEST_API_KEY } from "../helpers/instances.ts";
import { type KnownPosition, range } from "../helpers/positions.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** The store of a home region goes back: its copies in other regions have what it lost. */

const TEST_MS = 90_000;
const UNRECOVERABLE = 112;
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

const url = (region: string) => world.region(region).instances[0]!.url;
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

/** What an instance of a region answers to a position: bodies, or that it cannot be recovered. */
async function returns(region: string, channel: string, since: KnownPosition): Promise<string> {
  try {
    const params = { channel: `chat:${channel}`, since, limit: 1_000 };
    const page = await callApi<{ publications: { data: number }[] }>(url(region), "history", params);
    return page.publications.map(({ data }) => data).join(" ");
  } catch (error) {
    const { code } = error as { code?: number };
    return code === UNRECOVERABLE ? "told" : `error ${code}`;
  }
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
      // Never believed in any region, from the first answer on; and who has only what stands gets the rest.
      const bodies = fresh.join(" ");
      for (const region of ["sin", "fra", "iad"]) {
        const lost: string[] = [];
        const answers = async () => {
          lost.push(await returns(region, channel, at36));
          return lost.at(-1) === "told";
        };
        await until(answers, { what: `${region} to answer`, timeoutMs: 30_000 });
        expect(lost.filter((answer) => /^\d*$/.test(answer) || /\d /.test(answer))).toEqual([]);
        const right = async () => (await returns(region, channel, at30)) === bodies;
        await until(right, { what: `${region} to have what stands`, timeoutMs: 30_000 });
      }
      // Whoever is connected is told, and has what stands.
      await until(() => room.subscribed.length > 1, { what: "to be told", timeoutMs: 20_000 });
      expect(room.subscribed[1]).toMatchObject({ wasRecovering: true, recovered: false });
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
