import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { memoryBroker, memoryBus } from "../../src/broker/memory/memory.ts";
import type { Waiter } from "../../src/broker/nats/link/requests.ts";
import { Control } from "../../src/broker/nats/publish/control.ts";
import { silent } from "../../src/core/log.ts";
import { Seldom } from "../../src/core/seldom.ts";
import { Stats } from "../../src/core/stats.ts";
import { subjects } from "../../src/core/subject.ts";
import { memoryPresence, memoryPresenceHub } from "../../src/presence/memory/memory.ts";
import { Cursors } from "../../src/presence/redis/cursors.ts";
import { presenceKeys } from "../../src/presence/redis/keys.ts";
import type { Pipe } from "../../src/presence/redis/pipe.ts";

const root = join(import.meta.dir, "../..");

/** Commands of the operator's own, and settings, live on nobody's input. */
const OUT_OF_REACH = /^(bench|cli|world|console|config)\//;

/** Fields, and weak maps of modules, that outlive a call. */
const GROWABLE =
  /^ {2}(?:static )?(?:readonly )?(#?\w+)(?:: [^=\n]+)? = (?:new (?:Map|Set|WeakMap)\b|\[\])|^const (\w+)(?:: (?!Readonly)[^=\n]+)? = new WeakMap\b/gm;

test("docs/growth.md has every map, set and list of the code, and no other", () => {
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" });
  const inTheCode = files
    .filter((file) => file.endsWith(".ts") && !OUT_OF_REACH.test(file))
    .flatMap((file) => {
      const text = readFileSync(join(root, "src", file), "utf8");
      return [...text.matchAll(GROWABLE)].map(([, field, map]) => `${file} ${field ?? map}`);
    });
  const page = readFileSync(join(root, "docs/growth.md"), "utf8").split("## Files and streams")[0]!;
  const listed = [...page.matchAll(/^- `([\w/-]+\.ts)`: ((?:`#?\w+`(?:,\s+)?)+)/gm)].flatMap(
    ([, file, names]) => [...names!.matchAll(/`(#?\w+)`/g)].map(([, name]) => `${file} ${name}`),
  );
  expect(inTheCode.length).toBeGreaterThan(100);
  expect(listed.sort()).toEqual([...new Set(inTheCode)].sort());
});

describe("what has a bound of its own keeps to it", () => {
  test("keys of what is seldom said", () => {
    const seldom = new Seldom(60_000);
    for (let n = 0; n <= 10_000; n++) expect(seldom.first(`k${n}`, 0)).toBe(true);
    expect(seldom.first("k10000", 0)).toBe(false);
    expect(seldom.first("k0", 0)).toBe(true); // forgotten
  });

  test("cursors of the embedded driver", async () => {
    const presence = memoryPresence({
      ...{ hub: memoryPresenceHub(), instance: "a", region: "eu", log: silent, stats: new Stats() },
      load: () => ({ connections: 0, capacity: 1 }),
    });
    const cursor = { epoch: "e", offset: 1 };
    for (let n = 0; n <= 100_000; n++) presence.saveCursor(`u${n}`, "", cursor, 60_000);
    expect(await presence.loadCursor("u0", "")).toBeUndefined();
    expect(await presence.loadCursor("u1", "")).toEqual(cursor);
    await presence.close();
  });

  test("cursors that Redis does not take", async () => {
    const cursors = new Cursors({} as Pipe, presenceKeys("tl:"));
    const cursor = { epoch: "e", offset: 1 };
    for (let n = 0; n <= 10_000; n++) cursors.save(`u${n}`, "", cursor, 60_000, false);
    expect(await cursors.load("u0", "", false)).toBeUndefined();
    expect(await cursors.load("u1", "", false)).toEqual(cursor);
  });

  test("events of the embedded broker", async () => {
    const bus = memoryBus({ namespaces: new Map() });
    const broker = memoryBroker({ bus, instance: "a", log: silent, stats: new Stats() });
    await broker.start();
    for (let n = 0; n < 3_000; n++) broker.emit("message", { n });
    expect(bus.events).toHaveLength(1_000);
    await broker.close();
  });

  test("answers to a survey, however many one service sends", async () => {
    let waiter: Waiter | undefined;
    const control = new Control({
      link: { nc: { subscribe() {} } } as never,
      requests: {
        send: (_subject: string, _body: string, one: Waiter) => {
          waiter = one;
        },
      } as never,
      subjects: subjects(),
      ...{ instance: "a", log: silent, stats: new Stats(), listeners: new Set() },
    });
    const answers = control.survey("info", {}, { timeoutMs: 60_000 });
    const message = { data: new TextEncoder().encode("1") } as never;
    let taken = 0;
    while (!waiter!.reply(message) && taken < 20_000) taken++;
    expect(await answers).toHaveLength(10_000);
  });
});
