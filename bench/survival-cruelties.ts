import { setTimeout as sleep } from "node:timers/promises";
import { again, dropTail, goBack, type Holds, withStream } from "./survival-deeds.ts";
import { noClock, type Regions } from "./survival-regions.ts";
import type { Fault } from "./survival-stage.ts";

const HOME = "iad";
const MIDDLE = "fra";
const FAR = "sin";

/** What disks, operators, clocks and schedulers do, and several things at once. */
export function cruelties(holds: Holds): readonly Fault<Regions>[] {
  return [...toStores(holds), ...toProcesses(holds)];
}

function toStores(holds: Holds): readonly Fault<Regions>[] {
  return [
    {
      name: "disk",
      what: `the home's store is set back by ${holds.forgotten / 1_000} s (an old copy of it), and written on`,
      gaps: "all",
      forgets: true,
      strike: ({ world }, served) => goBack(world.region(HOME).nats, holds.forgotten, served),
    },
    {
      name: "tail",
      what: `the home's server loses power: ${holds.forgotten / 1_000} s that it had not synced are gone`,
      gaps: "all",
      forgets: true,
      strike: ({ world }, served) => dropTail(world.region(HOME).nats, holds.forgotten, served),
    },
    {
      name: "disk-cut",
      what: `the same as an old copy while a far region is cut off, and an instance is killed, for ${holds.nats / 1_000} s`,
      // The far region has had nothing of what is lost.
      gaps: "some",
      breaks: true,
      forgets: true,
      async strike({ world }, served) {
        const [instance] = world.region(MIDDLE).instances;
        await goBack(world.region(HOME).nats, holds.forgotten, async () => {
          await served();
          world.links.cut(HOME, FAR);
          await instance!.kill();
        });
      },
      holdMs: holds.nats,
      heal: ({ world }) => world.links.heal(HOME, FAR),
      after: ({ world }) => world.region(MIDDLE).instances[0]!.restart(),
    },
    {
      name: "settings",
      what: "history.size is changed: all instances are killed and started again, the home's NATS server before and after",
      breaks: true,
      async strike(regions) {
        const { nats } = regions.world.region(HOME);
        await again(nats);
        await regions.changeHistorySize();
        await Promise.all(regions.instances.map(again));
        await again(nats);
      },
    },
    {
      name: "purge",
      what: "the stream is purged",
      strike: ({ world }) => withStream(world.region(HOME).nats.url, "purge"),
    },
    {
      name: "purge-away",
      what: "the stream is purged just after an instance was killed (-9)",
      breaks: true,
      // Its clients come back to what is gone; whether something remembers it is luck.
      gaps: "some",
      async strike({ world }) {
        await world.region(MIDDLE).instances[0]!.kill();
        await withStream(world.region(HOME).nats.url, "purge");
      },
      after: ({ world }) => world.region(MIDDLE).instances[0]!.restart(),
    },
    {
      name: "stream-cut",
      what: `the stream is deleted while a far region is cut off for ${holds.nats / 1_000} s`,
      gaps: "all",
      forgets: true,
      async strike({ world }) {
        world.links.cut(HOME, FAR);
        await withStream(world.region(HOME).nats.url, "delete");
      },
      holdMs: holds.nats,
      heal: ({ world }) => world.links.heal(HOME, FAR),
    },
  ];
}

function toProcesses(holds: Holds): readonly Fault<Regions>[] {
  return [
    {
      name: "pause",
      breaks: true,
      what: `an instance is stopped for ${holds.pause / 1_000} s (SIGSTOP), and goes on`,
      strike: ({ world }) => world.region(MIDDLE).instances[0]!.pause(),
      holdMs: holds.pause,
      heal: ({ world }) => world.region(MIDDLE).instances[0]!.resume(),
    },
    {
      name: "pause-nats",
      what: `the home's NATS server is stopped for ${holds.link / 1_000} s (SIGSTOP), and goes on`,
      strike: ({ world }) => world.region(HOME).nats.pause(),
      holdMs: holds.link,
      heal: ({ world }) => world.region(HOME).nats.resume(),
    },
    {
      name: "clock",
      what: "an instance's clock jumps forward by an hour, and back by two",
      ...(noClock && { missing: noClock }),
      async strike(regions) {
        await regions.setClock("+1h");
        await sleep(holds.nats);
        await regions.setClock("-1h");
      },
      holdMs: holds.nats,
      heal: (regions) => regions.setClock("+0"),
    },
    {
      name: "several",
      breaks: true,
      what: `an instance is killed, the home's NATS server and Redis restarted, and a link cut for ${holds.nats / 1_000} s, at once`,
      async strike({ world }) {
        world.links.cut(HOME, FAR);
        const { redis } = world;
        await Promise.all([
          world.region(MIDDLE).instances[0]!.kill(),
          again(world.region(HOME).nats),
          redis.stop().then(() => redis.start()),
        ]);
      },
      holdMs: holds.nats,
      heal: ({ world }) => world.links.heal(HOME, FAR),
      after: ({ world }) => world.region(MIDDLE).instances[0]!.restart(),
    },
  ];
}
