import { expect, test } from "bun:test";
import { Clock } from "./clock.ts";
import { inOwnTime } from "./in-own-time.ts";
import { Random } from "./random.ts";
import { World } from "./world.ts";

/** Answers of a leader that comes or goes: nobody is told, nothing is made, and nothing is missed. */

type Info = {
  state: { last_seq: number };
  config: { metadata?: object; description?: string };
  cluster?: object;
};

const NOT_FOUND = { error: { code: 404, err_code: 10059, description: "stream not found" } };

/** What one answer about the stream says wrongly; the next ones are right. */
const ANSWERS: Readonly<Record<string, (info: Info) => object | undefined>> = {
  "one message fewer than there are": (info) => ({
    ...info,
    state: { ...info.state, last_seq: info.state.last_seq - 1 },
  }),
  "no leader": (info) => ({ ...info, cluster: { name: "sim", replicas: [] } }),
  "no such stream": () => NOT_FOUND,
  "the life of another": (info) => ({
    ...info,
    config: {
      ...info.config,
      metadata: { "trunkline-life": "abcdefghijkl" },
      description: "trunkline, life abcdefghijkl",
    },
  }),
  "nothing at all": () => undefined,
};

for (const [what, twist] of Object.entries(ANSWERS)) {
  test(`an answer of a leader in transition: ${what}`, async () => {
    await inOwnTime(() => play(twist));
  });
}

function play(twist: (info: Info) => object | undefined): void {
  const random = new Random(1);
  using clock = new Clock(random);
  const world = new World({ seed: 1, replicas: 3 }, clock, random);
  const { servers, instances, clients, judge } = world;
  const made: string[] = [];
  let once = false;
  servers.twist = (call, result) => {
    if (call.startsWith("STREAM.CREATE.RT_keep")) made.push(call);
    if (!once || call !== "STREAM.INFO.RT_keep") return result;
    once = false;
    return twist(result as Info);
  };
  void Promise.all(instances.map((instance) => instance.start()));
  clock.runUntil(2_000);
  for (const [n, client] of clients.entries()) void client.come(instances[n < 2 ? 0 : 1]!);
  clock.runUntil(4_000);
  for (let n = 0; n < 20; n++) world.publish();
  clock.runUntil(7_000);
  // The newest is of the channel that both follow.
  world.publish(clients[0]!.channel);
  clock.runUntil(8_000);
  made.length = 0;
  // Seen at an inspection, and at the resynchronisation after a link was lost.
  once = true;
  clock.runUntil(25_000);
  expect(once).toBe(false);
  once = true;
  for (const { connection } of instances) connection!.cut(true);
  for (let n = 0; n < 20; n++) world.publish();
  clock.runUntil(60_000);
  expect(once).toBe(false);
  judge.finish(clients);
  expect(judge.wrongs).toEqual([]);
  expect(judge.history.filter((line) => line.includes("is sent away"))).toEqual([]);
  expect(judge.tolds).toBe(0);
  expect(made).toEqual([]);
}
