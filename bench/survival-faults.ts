import { cruelties } from "./survival-cruelties.ts";
import { type Holds, restart, withStream } from "./survival-deeds.ts";
import type { Regions } from "./survival-regions.ts";
import type { Fault } from "./survival-stage.ts";

const HOME = "iad";
const MIDDLE = "fra";
const FAR = "sin";

/** Everything that is done to regions, in the order in which it is tried. */
export function regionFaults(holds: Holds): readonly Fault<Regions>[] {
  return [...deaths(holds), ...cruelties(holds)];
}

/** Everything that dies. `iad` is the home of the streams and of Redis. */
function deaths(holds: Holds): readonly Fault<Regions>[] {
  return [
    {
      name: "instance",
      breaks: true,
      what: "an instance is killed (-9)",
      strike: ({ world }) => world.region(MIDDLE).instances[0]!.kill(),
      after: ({ world }) => world.region(MIDDLE).instances[0]!.restart(),
    },
    {
      name: "rolling",
      breaks: true,
      what: "every instance is restarted, one after the other (SIGTERM)",
      async strike({ instances }) {
        for (const instance of instances) await restart(instance);
      },
    },
    {
      name: "nats-far",
      what: `the NATS server of a far region is killed for ${said(holds.nats)}`,
      strike: ({ world }) => world.region(FAR).nats.kill(),
      holdMs: holds.nats,
      heal: ({ world }) => world.region(FAR).nats.restart(),
    },
    {
      name: "nats-home",
      what: `the NATS server of the home region is killed for ${said(holds.nats)}`,
      strike: ({ world }) => world.region(HOME).nats.kill(),
      holdMs: holds.nats,
      heal: ({ world }) => world.region(HOME).nats.restart(),
    },
    {
      name: "cut",
      what: `the link between the home and a far region is cut for ${said(holds.link)}`,
      strike: ({ world }) => world.links.cut(HOME, FAR),
      holdMs: holds.link,
      heal: ({ world }) => world.links.heal(HOME, FAR),
    },
    {
      name: "silent",
      what: `the same link swallows everything for ${said(holds.link)}`,
      strike: ({ world }) => world.links.cut(HOME, FAR, "silent"),
      holdMs: holds.link,
      heal: ({ world }) => world.links.heal(HOME, FAR),
    },
    {
      name: "redis",
      what: `Redis is killed for ${said(holds.redis)}, and comes back empty`,
      strike: ({ world }) => world.redis.stop(),
      holdMs: holds.redis,
      heal: ({ world }) => world.redis.start(),
    },
    {
      name: "region-far",
      breaks: true,
      what: "a far region is killed, all of it, and stays away",
      strike: ({ world }) => world.region(FAR).kill(),
      after: ({ world }) => world.region(FAR).heal(),
    },
    {
      name: "region-home",
      breaks: true,
      what: `the home region is killed, all of it and Redis, for ${said(holds.region)}`,
      async strike({ world }) {
        await Promise.all([world.region(HOME).kill(), world.redis.stop()]);
      },
      holdMs: holds.region,
      async heal({ world }) {
        await Promise.all([world.redis.start(), world.region(HOME).heal()]);
      },
    },
    {
      name: "stream",
      what: "the stream is deleted",
      gaps: "all",
      forgets: true,
      strike: ({ world }) => withStream(world.region(HOME).nats.url, "delete"),
    },
  ];
}

function said(ms: number): string {
  return `${ms / 1_000} s`;
}
