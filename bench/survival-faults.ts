import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type StreamAPI } from "nats";
import type { WorldInstance } from "../src/world/instance.ts";
import type { Nats } from "../src/world/nats.ts";
import type { Fault } from "./survival-stage.ts";

/** How long faults last that end, ms. */
export interface Holds {
  readonly nats: number;
  readonly link: number;
  readonly redis: number;
  readonly region: number;
  readonly pause: number;
}

const HOME = "iad";
const MIDDLE = "fra";
const FAR = "sin";
const STREAM = "RT_chat";
/** Time in which messages are stored that are then forgotten, ms. */
const FORGOTTEN_MS = 3_000;

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
      strike: ({ world }) => withStreams(world.region(HOME).nats.url, (streams) => streams.delete(STREAM)),
    },
    ...cruelFaults(holds),
  ];
}

/** What disks, operators and schedulers do to a store, and several things at once. */
function cruelFaults(holds: Holds): readonly Fault[] {
  return [
    {
      name: "disk",
      what: "the disk of the home region forgets the stream's newest messages, and the store is overtaken",
      gaps: true,
      async strike({ world }) {
        const { nats } = world.region(HOME);
        const stream = join(nats.storeDir, "jetstream", "$G", "streams", STREAM);
        const copy = join(nats.storeDir, "..", `forgotten-${STREAM}`);
        await nats.kill();
        await cp(stream, copy, { recursive: true });
        await nats.restart();
        await sleep(FORGOTTEN_MS);
        await nats.kill();
        await rm(stream, { recursive: true });
        await cp(copy, stream, { recursive: true });
        await rm(copy, { recursive: true });
        await nats.restart();
      },
    },
    {
      name: "settings",
      what: "history.size is changed in the stream, and the home's NATS server restarted before and after",
      async strike({ world }) {
        const { nats } = world.region(HOME);
        await again(nats);
        await withStreams(nats.url, async (streams) => {
          const { config } = await streams.info(STREAM);
          await streams.update(STREAM, { ...config, max_msgs_per_subject: config.max_msgs_per_subject + 1 });
        });
        await again(nats);
      },
    },
    {
      name: "purge",
      what: "the stream is purged",
      strike: ({ world }) => withStreams(world.region(HOME).nats.url, (streams) => streams.purge(STREAM)),
    },
    {
      name: "pause",
      breaks: true,
      what: `an instance is stopped for ${said(holds.pause)} (SIGSTOP), and goes on`,
      strike: ({ world }) => void process.kill(world.region(MIDDLE).instances[0]!.pid!, "SIGSTOP"),
      holdMs: holds.pause,
      heal: ({ world }) => void process.kill(world.region(MIDDLE).instances[0]!.pid!, "SIGCONT"),
    },
    {
      name: "several",
      breaks: true,
      what: `an instance is killed, the home's NATS server restarted, and a link cut for ${said(holds.nats)}, at once`,
      async strike({ world }) {
        world.links.cut(HOME, FAR);
        await Promise.all([world.region(MIDDLE).instances[0]!.kill(), again(world.region(HOME).nats)]);
      },
      holdMs: holds.nats,
      heal: ({ world }) => world.links.heal(HOME, FAR),
      after: ({ world }) => world.region(MIDDLE).instances[0]!.restart(),
    },
  ];
}

async function again(nats: Pick<Nats, "kill" | "restart">): Promise<void> {
  await nats.kill();
  await nats.restart();
}

async function withStreams(servers: string, act: (streams: StreamAPI) => Promise<unknown>): Promise<void> {
  const nc = await connect({ servers });
  try {
    await until(async () => await act((await nc.jetstreamManager({ timeout: 2_000 })).streams));
  } finally {
    await nc.close();
  }
}

/** Tries again while a server that was just started has no leader yet. */
async function until(act: () => Promise<unknown>): Promise<void> {
  for (let left = 20; ; left--) {
    try {
      await act();
      return;
    } catch (error) {
      if (left === 0) throw error;
      await sleep(250);
    }
  }
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
