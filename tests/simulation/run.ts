import { Clock } from "./clock.ts";
import { FAULTS, type FaultName } from "./faults.ts";
import { channelOf } from "./instance.ts";
import type { Judge } from "./judge.ts";
import { Random } from "./random.ts";
import { CHANNELS, World, type WorldOptions } from "./world.ts";

export interface RunOptions extends WorldOptions {
  /** What may happen; default: everything. */
  readonly faults?: readonly FaultName[];
}

/** What came of one seed. */
export interface Outcome {
  readonly seed: number;
  readonly wrongs: Judge["wrongs"];
  /** Line by line what happened. */
  readonly history: readonly string[];
  /** Messages stored, given to clients, and times that one was told of a gap. */
  readonly stored: number;
  readonly delivered: number;
  readonly tolds: number;
}

/** Most time between two things that happen, ms. */
const PAUSE_MS = 900;
/** Time given to everybody at the end, ms, twice: before the last messages and after them. */
const CALM_MS = 25_000;

/** Makes one world. The same seed gives the same run, line by line. Must not be called from a promise's continuation. */
export function simulate(options: RunOptions): Outcome {
  const { seed, faults = Object.keys(FAULTS) as FaultName[] } = options;
  const random = new Random(seed);
  using clock = new Clock(random);
  const world = new World(options, clock, random);
  let done = false;
  play(world, faults).then(
    () => {
      done = true;
    },
    (error: unknown) => {
      world.judge.accuse("crash", error instanceof Error ? (error.stack ?? error.message) : String(error));
      done = true;
    },
  );
  for (let end = 1_000; !done; end += 1_000) {
    clock.runUntil(end);
    if (end > 600_000) {
      world.judge.accuse("stuck", "the run does not end");
      break;
    }
  }
  const { wrongs, history, tolds } = world.judge;
  const delivered = world.clients.reduce((sum, { segment }) => sum + (segment?.bodies.length ?? 0), 0);
  return { seed, wrongs, history, stored: world.stored, delivered, tolds };
}

/** What happens, in order. */
async function play(world: World, faults: readonly FaultName[]): Promise<void> {
  const { random, clock, clients, instances } = world;
  await Promise.all(instances.map((instance) => instance.start()));
  for (let n = random.int(0, 5); n > 0; n--) world.publish();
  for (const client of clients) void client.come(random.pick(instances));
  for (let steps = random.int(15, 60); steps > 0; steps--) {
    await clock.sleep(random.chance(0.7) ? random.int(1, 50) : random.int(50, PAUSE_MS));
    if (random.chance(0.6) || faults.length === 0) world.publish();
    else await FAULTS[random.pick(faults)](world);
  }
  await calm(world);
}

/** Everything is whole again; everybody is there, and hears the last messages. */
async function calm(world: World): Promise<void> {
  const { clock, weather, servers, clients, instances, random, judge } = world;
  Object.assign(weather, { lost: 0, doubled: 0, late: 0 });
  if (servers.down) servers.start();
  for (const { connection } of instances) connection?.heal();
  for (const client of clients) {
    if (!client.subscribed && !client.coming) void client.come(random.pick(instances));
  }
  judge.note("all is whole again");
  await clock.sleep(CALM_MS);
  // The newest message is there, though none follows that would show its absence.
  judge.finish(clients);
  for (let n = 0; n < CHANNELS; n++) world.publish(channelOf(n));
  await clock.sleep(CALM_MS);
  judge.finish(clients);
}
