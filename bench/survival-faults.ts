import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "nats";
import type { WorldInstance } from "../src/world/instance.ts";
import type { Fault } from "./survival-stage.ts";

/** How long faults last that end, ms. */
export interface Holds {
  readonly nats: number;
  readonly link: number;
  readonly redis: number;
  readonly region: number;
}

const HOME = "iad";
const MIDDLE = "fra";
const FAR = "sin";

/** Everything that dies, in the order in which it is tried. `iad` is the home of the streams and of Redis. */
export function faults(holds: Holds): readonly Fault[] {
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
      gaps: true,
      async strike({ world }) {
        const nc = await connect({ servers: world.region(HOME).nats.url });
        try {
          await (await nc.jetstreamManager()).streams.delete("RT_chat");
        } finally {
          await nc.close();
        }
      },
    },
  ];
}

/** As a deployment does it: SIGTERM, wait for its own end, start the new one. */
async function restart(instance: WorldInstance): Promise<void> {
  process.kill(instance.pid!, "SIGTERM");
  const end = performance.now() + 40_000;
  while (instance.alive && performance.now() < end) await sleep(20);
  if (instance.alive) throw new Error(`${instance.id} does not end`);
  await instance.restart();
}

function said(ms: number): string {
  return `${ms / 1_000} s`;
}
