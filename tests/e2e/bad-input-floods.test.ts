import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { testClient } from "../helpers/clients.ts";
import {
  type Answer,
  closeCode,
  LOUD,
  member,
  metric,
  residentBytes,
  said,
  stranger,
  unharmed,
  verdict,
} from "../helpers/hostile.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { clientFrame, OPCODE, type RawWebSocket } from "../helpers/raw-websocket.ts";
import { connectionToken, subscriptionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Too much of what alone would be right. */

const MIB = 1_048_576;

/** Sends the same bytes as fast as the connection takes them, until it ends or `stop` is called. */
function flood(client: RawWebSocket, bytes: Uint8Array): { stop(): Promise<void> } {
  let stopped = false;
  const done = (async () => {
    while (!stopped && !client.ended) {
      const room = client.write(bytes);
      await new Promise((resolve) => setTimeout(resolve, room ? 0 : 1));
    }
  })();
  return {
    stop() {
      stopped = true;
      return done;
    },
  };
}

/** How long an honest client's publishes take while something else goes on, ms, worst last. */
async function latencies(instance: TestInstance, until: () => boolean): Promise<number[]> {
  using client = testClient(instance.websocket, { user: "honest" });
  await client.connected();
  await client.subscribe("chat:latency");
  const taken: number[] = [];
  do {
    const begin = performance.now();
    await client.centrifuge.publish("chat:latency", taken.length);
    taken.push(performance.now() - begin);
    await new Promise((resolve) => setTimeout(resolve, 20)); // an honest client keeps to its rate
  } while (!until());
  return taken.sort((a, b) => a - b);
}

/** Two members at once; both end with the block. */
async function pair(instance: TestInstance) {
  const both = [await member(instance), await member(instance)] as const;
  return Object.assign(both, {
    [Symbol.dispose]() {
      for (const one of both) one[Symbol.dispose]();
    },
  });
}

const subscribeTo = (from: number, count: number, token = "") =>
  Array.from({ length: count }, (_, n) =>
    JSON.stringify({ id: from + n, subscribe: { channel: `chat:bomb-${from + n}`, token } }),
  ).join("\n");

for (const runtime of ["bun", "deno"] as const) {
  describe(`floods on ${runtime}`, () => {
    // Who goes on sending behind the close frame may lose it: the kernel resets the connection. So what counts is why.
    const tooMuch = [3013, 1006];
    const dead = [3012, 1006];
    const counted = async (name: string) => (await metric(limited, name)) || 0;
    const COMMAND_RATE = 'trunkline_rejected_total{reason="command_rate"}';
    const DEAD_PEERS = "trunkline_dead_peers_total";
    let limited: TestInstance;
    let unlimited: TestInstance;
    beforeAll(async () => {
      const ping = { interval: "2s", pongTimeout: "1s" };
      const limitedBy = { connectionsPerIp: 20, frame: "64KiB" };
      limited = await startInstance({ runtime, config: { ...LOUD, ping, limits: limitedBy } });
      const limits = { commandsPerSecond: 0, bytesPerSecond: 0 };
      unlimited = await startInstance({ runtime, config: { limits } });
    }, 60_000);
    afterAll(async () => {
      await using one = limited;
      await using two = unlimited;
      await unharmed(one);
      await unharmed(two);
    });

    test("100,000 subscribes end the connection with 3013 when their rate is limited", async () => {
      const rejected = await counted(COMMAND_RATE);
      using client = await member(limited);
      for (let n = 0; n < 100_000 && !client.ended; n += 100) client.send(subscribeTo(10 + n, 100));
      expect(tooMuch).toContain(await closeCode(client));
      const { nodes } = await limited.api<{ nodes: { num_channels: number }[] }>("info", {});
      expect(nodes[0]!.num_channels).toBeLessThan(250);
      expect(await counted(COMMAND_RATE)).toBeGreaterThan(rejected);
    });

    test("100,000 subscribes get 106 beyond the channels of a connection, and cost no memory", async () => {
      using client = await member(unlimited);
      const before = await residentBytes(unlimited);
      const answers: Answer[] = [];
      for (let n = 0; n < 100_000; n += 500) {
        client.send(subscribeTo(10 + n, 500));
        await until(() => said(client).some(({ id }) => id === 10 + n + 499));
        answers.push(...said(client));
        client.frames.splice(0);
      }
      // 128, the user's own inbox among them.
      expect(answers.filter(({ id, error }) => id && id >= 10 && !error)).toHaveLength(127);
      expect(answers.filter(({ error }) => error?.code === 106)).toHaveLength(100_000 - 127);
      expect((await residentBytes(unlimited)) - before).toBeLessThan(100 * MIB);
      const { nodes } = await unlimited.api<{ nodes: { num_channels: number }[] }>("info", {});
      expect(nodes[0]!.num_channels).toBeLessThan(150);
    }, 20_000);

    test("20,000 subscribes with tokens for something else leave no channels behind", async () => {
      using client = await member(unlimited, "forger");
      const token = subscriptionToken({ user: "forger", channel: "chat:other" }).slice(0, -4);
      for (let n = 0; n < 20_000; n += 100) {
        client.send(subscribeTo(10 + n, 100, `${token}AAAA`));
        await until(() => said(client).some(({ id }) => id === 10 + n + 99));
        expect(said(client).at(-1)!.error?.code).toBe(103);
        client.frames.splice(0);
      }
      const { nodes } = await unlimited.api<{ nodes: { num_channels: number }[] }>("info", {});
      expect(nodes[0]!.num_channels).toBeLessThan(300);
    }, 20_000);

    test("more bytes than the rate allows end the connection with 3013", async () => {
      using client = await member(limited);
      const blanks = " ".repeat(60_000);
      for (let n = 0; n < 12; n++)
        client.send(`{"id":${10 + n},"unsubscribe":{"channel":"chat:x"}}${blanks}`);
      expect(tooMuch).toContain(await closeCode(client));
    });

    test("one pong a ping, no more", async () => {
      using client = await member(limited);
      await until(() => client.texts.includes("{}"));
      client.send("{}");
      client.send('{"id":9,"unsubscribe":{"channel":"chat:x"}}');
      expect(await verdict(client, 9)).toBe("ok");
      client.send("{}");
      expect(await closeCode(client)).toBe(3501);
    });

    for (const [what, opcode] of [
      ["pings", OPCODE.ping],
      ["pongs", OPCODE.pong],
    ] as const) {
      // Deno shows no pings: it answers them, and the connection ends by ours, which go unanswered.
      const hidden = runtime === "deno" && opcode === OPCODE.ping;
      const [ends, why] = hidden ? [dead, DEAD_PEERS] : [tooMuch, COMMAND_RATE];
      for (const who of ["member", "stranger"] as const) {
        if (hidden && who === "stranger") continue;
        test(`a ${who}'s ${what} without end get ${ends[0]}, and hold nobody up`, async () => {
          const before = await counted(why);
          using client = await (who === "member" ? member(limited) : stranger(limited));
          const pings = flood(client, Buffer.concat(Array(10_000).fill(clientFrame("", opcode))));
          const over = () => client.frames.some((frame) => frame.opcode === OPCODE.close) || client.ended;
          const taken = await latencies(limited, over);
          expect(ends).toContain(await closeCode(client));
          expect(await counted(why)).toBe(before + 1);
          await pings.stop();
          // Held up means seconds; two files of tests share the processors.
          expect(taken[Math.floor(taken.length / 2)]!).toBeLessThan(400);
        }, 15_000);
      }
    }

    test("a few pings are welcome", async () => {
      using client = await member(limited);
      for (let n = 0; n < 50; n++) client.send(`${n}`, OPCODE.ping);
      await until(() => client.frames.filter(({ opcode }) => opcode === OPCODE.pong).length === 50);
      client.send('{"id":9,"unsubscribe":{"channel":"chat:x"}}');
      expect(await verdict(client, 9)).toBe("ok");
    });

    test("a message that is begun and not ended is no sign of life, even where it goes on byte by byte", async () => {
      const before = await counted(DEAD_PEERS);
      using both = await pair(limited);
      const [silent, trickling] = both;
      for (const client of [silent, trickling]) client.write(clientFrame("x", OPCODE.text, false));
      const more = clientFrame("x", OPCODE.continuation, false);
      const trickle = setInterval(() => trickling.write(more), 200);
      try {
        for (const client of [silent, trickling]) expect(dead).toContain(await closeCode(client));
      } finally {
        clearInterval(trickle);
      }
      expect(await counted(DEAD_PEERS)).toBe(before + 2);
    }, 15_000);

    test("empty fragments behind answered pings go on: they take the processor, no memory, and hold nobody up", async () => {
      const memory = await residentBytes(limited);
      using both = await pair(limited);
      const [one, other] = both;
      const empty = Buffer.concat(Array(2_000).fill(clientFrame("", OPCODE.continuation, false)));
      const floods = [one, other].map((client) => {
        client.write(clientFrame("x", OPCODE.text, false));
        return flood(client, empty);
      });
      const pongs = setInterval(() => {
        for (const client of [one, other]) client.send("", OPCODE.pong);
      }, 500);
      const end = performance.now() + 4_000;
      const taken = await latencies(limited, () => performance.now() > end);
      clearInterval(pongs);
      expect(taken[Math.floor(taken.length / 2)]!).toBeLessThan(400);
      expect((await residentBytes(limited)) - memory).toBeLessThan(30 * MIB);
      for (const client of [one, other]) client[Symbol.dispose]();
      await Promise.all(floods.map(({ stop }) => stop()));
    }, 15_000);

    test("empty fragments without end are no sign of life: 3012, and nobody is held up", async () => {
      const before = await counted(DEAD_PEERS);
      using client = await member(limited);
      client.write(clientFrame("x", OPCODE.text, false));
      const empty = Buffer.concat(Array(10_000).fill(clientFrame("", OPCODE.continuation, false)));
      const fragments = flood(client, empty);
      const over = () => client.frames.some((frame) => frame.opcode === OPCODE.close) || client.ended;
      const taken = await latencies(limited, over);
      expect(dead).toContain(await closeCode(client));
      expect(await counted(DEAD_PEERS)).toBe(before + 1);
      await fragments.stop();
      // Held up means seconds; two files of tests share the processors.
      expect(taken[Math.floor(taken.length / 2)]!).toBeLessThan(400);
    }, 15_000);

    test("fragments of one byte without end get 1009 at the longest frame, and cost no memory", async () => {
      using client = await member(limited);
      const before = await residentBytes(limited);
      client.write(clientFrame("x", OPCODE.text, false));
      const fragment = clientFrame("x", OPCODE.continuation, false);
      client.write(Buffer.concat(Array(65_535).fill(fragment)));
      client.write(clientFrame("x", OPCODE.continuation)); // the one too many, and nothing behind it
      expect(await closeCode(client)).toBe(1009);
      expect((await residentBytes(limited)) - before).toBeLessThan(30 * MIB);
    });

    test("requests nobody answers cost their own connection, not memory", async () => {
      const before = await residentBytes(limited);
      using client = await member(limited);
      for (let n = 0; n < 1_000 && !client.ended; n++) {
        client.send(JSON.stringify({ id: 10 + n, rpc: { method: "nobody.home", data: "x".repeat(400) } }));
      }
      expect(tooMuch).toContain(await closeCode(client));
      expect((await residentBytes(limited)) - before).toBeLessThan(30 * MIB);
    });

    test("one address has its share of connections, tokens or not, and gets them back", async () => {
      const connections = await metric(limited, "trunkline_connections");
      const clients: RawWebSocket[] = [];
      for (let n = 0; n < 25; n++)
        clients.push(await stranger(limited, { "X-Forwarded-For": `10.0.0.${n}` }));
      expect(clients.filter(({ status }) => status === 101)).toHaveLength(20 - connections);
      for (const client of clients) client[Symbol.dispose]();
      await until(async () => (await metric(limited, "trunkline_connections")) === connections);
      using again = await member(limited, "again", connectionToken({ user: "again" }));
      expect(again.status).toBe(101);
    });
  });
}
