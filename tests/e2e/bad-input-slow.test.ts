import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { receives, testClient } from "../helpers/clients.ts";
import {
  answerTo,
  closeCode,
  LOUD,
  member,
  metric,
  residentBytes,
  said,
  stranger,
  unharmed,
} from "../helpers/hostile.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import type { RawWebSocket } from "../helpers/raw-websocket.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Clients that do not read, or do not speak, while others go on. */

const MIB = 1_048_576;
/** Of 16 KB each: more than the kernel's buffers of a connection hold together with the instance's own. */
const MESSAGES = 900;
/** Of 48 KB each. */
const INBOX = 300;
const FILLER = "x".repeat(16_000);

interface Pub {
  readonly offset: number;
  readonly data: { readonly n: number };
}
interface Subscribed {
  readonly offset?: number;
  readonly epoch?: string;
  readonly recovered?: boolean;
  readonly publications?: readonly Pub[];
}

const pushed = (client: RawWebSocket, channel: string) =>
  said(client).flatMap(({ push }) => {
    const { channel: where, pub } = (push ?? {}) as { channel?: string; pub?: Pub };
    return where === channel && pub ? [pub] : [];
  });

async function subscribe(client: RawWebSocket, fields: object): Promise<Subscribed> {
  client.send(JSON.stringify({ id: 2, subscribe: fields }));
  return (await answerTo(client, 2)).subscribe as Subscribed;
}

for (const runtime of ["bun", "deno"] as const) {
  describe(`slow and mute clients on ${runtime}`, () => {
    let instance: TestInstance;
    beforeAll(async () => {
      const config = {
        ...LOUD,
        ping: { interval: "2s", pongTimeout: "1s" },
        limits: {
          ...{ backpressure: "256KiB", commandsPerSecond: 0, bytesPerSecond: 0 },
          // What is read here is more than a user may read in a second.
          recoveryBytesPerUserPerSecond: 0,
        },
        namespaces: {
          chat: { history: { size: 1_000, recoverLimit: 1_000 } },
          user: { history: { size: INBOX, recoverLimit: INBOX } },
        },
      };
      instance = await startInstance({ runtime, config });
    }, 60_000);
    afterAll(async () => {
      await using ended = instance;
      await unharmed(ended);
    });

    const slowConsumers = () => metric(instance, "trunkline_slow_consumers_total");

    for (const company of ["alone", "in company"] as const) {
      test(`a client ${company} that never reads is closed as slow, and loses nothing`, async () => {
        const channel = `chat:slow-${company.replace(" ", "-")}`;
        const before = await slowConsumers();
        const stuck = await member(instance, "stuck");
        const { epoch } = await subscribe(stuck, { channel });
        using honest = testClient(instance.websocket, { user: "quick" });
        await honest.connected();
        const quick = company === "alone" ? undefined : await honest.subscribe(channel);
        stuck.pause();
        for (let n = 0; n < MESSAGES; n++) {
          await instance.api("publish", { channel, data: { n, filler: FILLER } });
        }
        if (quick) {
          await receives(quick, MESSAGES);
          expect(quick.received.map(({ data }) => (data as { n: number }).n)).toEqual([
            ...Array(MESSAGES).keys(),
          ]);
        }
        await until(async () => (await slowConsumers()) === before + 1, {
          what: "a slow consumer to be counted",
        });
        stuck.resume();
        await closeCode(stuck, 10_000);
        const first = pushed(stuck, channel);
        expect(first.length).toBeLessThan(MESSAGES);
        expect(first.map(({ data }) => data.n)).toEqual([...Array(first.length).keys()]);
        stuck[Symbol.dispose]();

        using back = await member(instance, "stuck");
        const offset = first.at(-1)?.offset ?? 0;
        const { recovered, publications = [] } = await subscribe(back, {
          channel,
          recover: true,
          offset,
          epoch,
        });
        expect(recovered).toBe(true);
        const rest = [...publications];
        const more = () => {
          for (const ping of back.texts) if (ping === "{}") back.send("{}");
          rest.push(...pushed(back, channel));
          back.frames.splice(0);
          return rest.length >= MESSAGES - first.length;
        };
        await until(more, { what: "the rest", timeoutMs: 15_000 });
        expect(rest.map(({ data }) => data.n)).toEqual(
          Array.from({ length: MESSAGES - first.length }, (_, n) => n + first.length),
        );
        expect(await slowConsumers()).toBe(before + 1);
      }, 30_000);
    }

    test("an inbox with more than a connection takes at once reaches a slow reader whole", async () => {
      for (let n = 0; n < INBOX; n++) {
        await instance.api("publish", { channel: "user:full", data: { n, filler: FILLER.repeat(3) } });
      }
      const before = await slowConsumers();
      using client = await stranger(instance);
      client.send(JSON.stringify({ id: 1, connect: { token: connectionToken({ user: "full" }) } }));
      client.pause();
      using witness = testClient(instance.websocket, { user: "witness" });
      await witness.connected(); // Its connect came after the other, which was answered meanwhile.
      expect(await slowConsumers()).toBe(before);
      client.resume();
      const data = () => pushed(client, "user:full").map(({ data: { n } }) => n);
      await until(() => data().length >= INBOX, { what: "the whole inbox" });
      expect(data()).toEqual([...Array(INBOX).keys()]);
    }, 15_000);

    test("what was not sent yet is not taken for received when a pong comes", async () => {
      for (let n = 0; n < INBOX; n++) {
        await instance.api("publish", { channel: "user:early", data: { n, filler: FILLER.repeat(3) } });
      }
      const connect = JSON.stringify({ id: 1, connect: { token: connectionToken({ user: "early" }) } });
      const pings = await metric(instance, "trunkline_pings_sent_total");
      const slow = await stranger(instance);
      slow.send(connect);
      slow.pause();
      await until(async () => (await metric(instance, "trunkline_pings_sent_total")) > pings);
      const received = await metric(instance, "trunkline_messages_received_total");
      slow.send("{}");
      await until(async () => (await metric(instance, "trunkline_messages_received_total")) > received);
      slow[Symbol.dispose]();
      await until(async () => (await metric(instance, "trunkline_connections")) === 0);
      using page = await stranger(instance);
      page.send(connect);
      await until(() => pushed(page, "user:early").some(({ data: { n } }) => n === INBOX - 1), {
        what: "the newest message of the inbox",
      });
    }, 15_000);

    test("who hangs up is not slow", async () => {
      const before = await slowConsumers();
      const connections = await metric(instance, "trunkline_connections");
      for (let n = 0; n < 5; n++) (await member(instance))[Symbol.dispose]();
      await until(async () => (await metric(instance, "trunkline_connections")) === connections);
      expect(await slowConsumers()).toBe(before);
    });

    test("a client that asks and asks and never reads the answers is closed, as slow or as dead", async () => {
      const channel = "chat:asked";
      for (let n = 0; n < 20; n++) await instance.api("publish", { channel, data: { n, filler: FILLER } });
      // What finds no room is refused, so that it depends on the kernel's buffers which of the two comes first.
      const closed = async () =>
        (await slowConsumers()) + (await metric(instance, "trunkline_dead_peers_total"));
      const before = await closed();
      const memory = await residentBytes(instance);
      using client = await member(instance, "asker");
      await subscribe(client, { channel });
      client.pause();
      for (let id = 10; id < 2_000; id++)
        client.send(JSON.stringify({ id, history: { channel, limit: 20 } }));
      await until(async () => (await closed()) === before + 1, { what: "the asker to be closed" });
      expect((await residentBytes(instance)) - memory).toBeLessThan(150 * MIB);
    }, 20_000);

    test("a mute client dies by its pings, although messages flow to it", async () => {
      const channel = "chat:mute";
      const dead = await metric(instance, "trunkline_dead_peers_total");
      using mute = await member(instance, "mute");
      await subscribe(mute, { channel });
      const begin = performance.now();
      let published = 0;
      const flow = setInterval(() => void instance.api("publish", { channel, data: { n: published++ } }), 50);
      expect(await closeCode(mute, 8_000)).toBe(3012);
      clearInterval(flow);
      // First ping within the interval, then the time-out.
      expect(performance.now() - begin).toBeLessThan(4_500);
      expect(pushed(mute, channel).length).toBeGreaterThan(5);
      expect(await metric(instance, "trunkline_dead_peers_total")).toBe(dead + 1);
    }, 15_000);

    test("a connection whose peer is gone without a word leaves nothing behind", async () => {
      const channel = "chat:gone";
      using witness = testClient(instance.websocket, { user: "witness" });
      await witness.connected();
      const { sub } = await witness.subscribe(channel);
      using gone = await member(instance, "gone");
      await subscribe(gone, { channel });
      gone.pause();
      await until(async () => (await sub.presenceStats()).numClients === 2);
      await until(async () => (await sub.presenceStats()).numClients === 1, { timeoutMs: 8_000 });
    }, 15_000);
  });
}
