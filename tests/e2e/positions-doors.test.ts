import { describe, expect, test } from "bun:test";
import { testClient } from "../helpers/clients.ts";
import { callApi, type TestInstance } from "../helpers/instances.ts";
import { type KnownPosition, range, Stage } from "../helpers/positions.ts";
import { PUSHER_CONFIG, pusherClient } from "../helpers/pusher-clients.ts";
import { natsPrograms } from "../helpers/store.ts";
import { EventClient } from "../helpers/streams.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Whatever a client comes back by: a position of a lost past is never believed, one of the common past brings all. */

const TEST_MS = 60_000;
const [KEPT, LAST] = [30, 36];
const FRESH = range(1_031, 1_070);
/** Channels of the test with what they are at NATS. */
const CHANNELS = { "user:ann": "rt.user.ann", "shop:room": "rt.shop.room" } as const;
type Name = keyof typeof CHANNELS;

const { shop } = PUSHER_CONFIG.namespaces;
const CONFIG = {
  namespaces: { shop: { ...shop, subscribe: "anyone" } },
  apps: [PUSHER_CONFIG.apps[0]],
  limits: { commandsPerSecond: 0, connectsPerIpPerSecond: 0 },
};

/** What a client is told: bodies that were recovered, or `told`. */
type Door = (instance: TestInstance, since: KnownPosition) => Promise<readonly unknown[] | "told">;

const inboxOf = (
  subs: Record<string, { recovered?: boolean; publications?: readonly { data: unknown }[] }>,
) => {
  const { recovered, publications = [] } = subs["user:ann"]!;
  return recovered ? publications.map(({ data }) => data) : "told";
};

const DOORS: Readonly<Record<string, readonly [Name, Door]>> = {
  "inbox, WebSocket": [
    "user:ann",
    async (instance, since) => {
      const socket = new WebSocket(instance.websocket);
      try {
        await new Promise((resolve) => socket.addEventListener("open", resolve));
        const subs = { "user:ann": { recover: true, ...since } };
        socket.send(JSON.stringify({ id: 1, connect: { token: connectionToken({ user: "ann" }), subs } }));
        const { data } = await new Promise<MessageEvent<string>>((resolve) =>
          socket.addEventListener("message", resolve, { once: true }),
        );
        return inboxOf(JSON.parse(data.split("\n")[0]!).connect.subs);
      } finally {
        socket.close();
      }
    },
  ],
  "inbox, one-way events": [
    "user:ann",
    async (instance, since) => {
      const token = connectionToken({ user: "ann" });
      using client = new EventClient(instance, { token, subs: { "user:ann": { recover: true, ...since } } });
      await until(() => client.connects.length > 0, { what: "a stream to answer" });
      return inboxOf(client.connects[0]!.subs!);
    },
  ],
  "Pusher resume": [
    "shop:room",
    async (instance, { epoch, offset }) => {
      using client = pusherClient(instance);
      await client.connected();
      client.pusher.send_event("trunkline:resume", { sockets: [], channels: { room: [epoch, offset, 0] } });
      await client.subscribe("room");
      const [position] = (await client.receives(1, "trunkline:position", "room")) as { recovered: boolean }[];
      if (!position!.recovered) return "told";
      const bodies = () =>
        client.messages
          .filter(({ event, channel }) => channel === "room" && !/^(pusher|trunkline)/.test(event))
          .map(({ data }) => data);
      await until(() => bodies().at(-1) === FRESH.at(-1), { what: "the newest" }).catch(() => {});
      return bodies();
    },
  ],
  getState: [
    "shop:room",
    async (instance, { epoch, offset }) => {
      using client = testClient(instance.websocket, { user: "ann" });
      await client.connected();
      let asked = 0;
      const sub = client.centrifuge.newSubscription("shop:room", {
        minResubscribeDelay: 10,
        getState: async () => {
          asked++;
          return { epoch, offset };
        },
      });
      const got: unknown[] = [];
      let recovered = false;
      sub.on("publication", ({ data }) => got.push(data));
      sub.on("subscribed", (context) => {
        recovered = context.recovered;
      });
      sub.subscribe();
      // A position that is contradicted is refused however often its state was loaded.
      await until(() => asked >= 3 || recovered, { what: "an answer" });
      return recovered ? got : "told";
    },
  ],
};

async function publish(stage: Stage, from: number, to: number) {
  const positions = new Map<string, KnownPosition>();
  for (const channel of Object.keys(CHANNELS)) {
    for (const n of range(from, to)) {
      const { epoch, offset } = await callApi<KnownPosition>(stage.first.url, "publish", {
        channel,
        data: n,
      });
      positions.set(`${channel} ${n}`, { epoch, offset });
    }
  }
  return positions;
}

/** Settings under which one fault is tried: one process, or workers behind one port. */
const INSTANCES = { "one process": {}, "two workers": { workers: 2 } } as const;

for (const program of natsPrograms) {
  describe(`nats-server ${program.version}`, () => {
    for (const [kind, settings] of Object.entries(INSTANCES)) {
      test(
        `went back and was overtaken, client away: inboxes, Pusher, getState; ${kind}`,
        async () => {
          await using stage = await Stage.open(program, { config: { ...CONFIG, ...settings } });
          const early = await publish(stage, 1, KEPT);
          const copy = await stage.store.keep();
          await stage.settled();
          const late = await publish(stage, KEPT + 1, LAST);
          // No instance lives through it: the tags alone tell.
          await stage.goBackUnseen(copy, async () => {
            const js = stage.nc.jetstream();
            for (const subject of Object.values(CHANNELS))
              for (const n of FRESH) await js.publish(subject, String(n), { msgID: `${subject} ${n}` });
          });
          for (const [door, [channel, ask]] of Object.entries(DOORS)) {
            const at = (positions: Map<string, KnownPosition>, n: number) =>
              ask(stage.first, positions.get(`${channel} ${n}`)!);
            expect({ door, 36: await at(late, LAST) }).toEqual({ door, 36: "told" });
            expect({ door, 30: await at(early, KEPT) }).toEqual({ door, 30: FRESH });
            expect({ door, 25: await at(early, 25) }).toEqual({ door, 25: [...range(26, KEPT), ...FRESH] });
          }
        },
        TEST_MS,
      );
    }
  });
}
