import { describe, expect, test } from "bun:test";
import type { StreamConfig } from "nats";
import {
  eachServer,
  type Link,
  type NatsAddress,
  openLink,
  withoutSecrets,
} from "../../src/broker/nats/link/link.ts";
import { Requests } from "../../src/broker/nats/link/requests.ts";
import { StartError } from "../../src/broker/nats/link/start-error.ts";
import { StreamAdmin } from "../../src/broker/nats/streams/admin.ts";
import { channelStream } from "../../src/broker/nats/streams/config.ts";
import { type Logger, silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { subjects } from "../../src/core/subject.ts";
import { natsServer } from "../helpers/servers.ts";

async function open(address: NatsAddress): Promise<Link> {
  const own = { name: "test", pingIntervalMs: 5_000, connectTimeoutMs: 2_000 };
  return await openLink({ ...address, ...own, log: silent, stats: new Stats() });
}

const HISTORY = { size: 10, ageMs: 60_000, recoverLimit: 10, replicas: 1 };

describe("what a start would do with a stream is what it does", () => {
  const found: [what: string, config: Partial<StreamConfig> | undefined, replicas?: number][] = [
    ["no stream", undefined],
    ["the same stream", {}],
    ["another size", { max_msgs_per_subject: 99 }],
    ["another age and no direct gets", { max_age: 5e9, duplicate_window: 1e9, allow_direct: false }],
    ["memory", { storage: "memory" as never }],
    ["retention by interest", { retention: "interest" as never }],
    ["a work queue", { retention: "workqueue" as never }],
    ["no republishing", { republish: undefined as never }],
    ["another republish", { republish: { src: "rt.keep.>", dest: "other.>" } }],
    ["discarding by subject", { discard: "new" as never, discard_new_per_subject: true }],
    ["no purges", { deny_purge: true }],
    [
      "somebody else's stream on the subjects",
      { name: "ORDERS", subjects: ["rt.*.x"], republish: undefined as never },
    ],
    ["too few servers", undefined, 3],
  ];

  test.each(found)("%s", async (_, config, replicas = 1) => {
    await using server = await natsServer();
    const link = await open({ servers: [server.url] });
    try {
      const streams = new StreamAdmin(new Requests(link), silent);
      const wanted = channelStream(
        subjects(),
        { name: "keep", history: { ...HISTORY, replicas } },
        link.messageTtl,
      );
      const jsm = await link.nc.jetstreamManager();
      if (config) await jsm.streams.add({ ...wanted, ...config });
      const before = config && (await jsm.streams.info(config.name ?? "RT_keep")).config;

      const { version } = link.status.server!;
      const plan = await streams.plan(wanted, { version, clustered: link.nc.info?.cluster !== undefined });
      if (before) expect((await jsm.streams.info(before.name)).config).toEqual(before);

      let done: string | undefined;
      const log: Logger = {
        ...silent,
        info(message) {
          done = message;
        },
      };
      const started = await new StreamAdmin(new Requests(link), log)
        .ensure(wanted)
        .catch((error: Error) => error);
      if (started instanceof StartError) {
        expect(plan.action).toBe("refuse");
        if (plan.action === "refuse") expect(plan.error.remedy).toBe(started.remedy);
      } else {
        expect(started).not.toBeInstanceOf(Error);
        expect({ action: plan.action, done }).toEqual(
          {
            keep: { action: "keep", done: undefined },
            create: { action: "create", done: "stream created" },
            update: { action: "update", done: "stream updated" },
          }[plan.action as "keep"] as never,
        );
      }
    } finally {
      await link.close();
    }
  });
});

describe("addresses", () => {
  test("are told without what logs in, with a scheme or without", async () => {
    expect(["nats://bob:pw@h:1", "tls://token@h", "bob:pw@h:1", "h:4222"].map(withoutSecrets)).toEqual([
      "nats://h:1",
      "tls://h",
      "h:1",
      "h:4222",
    ]);
    const refused = await open({ servers: ["bob:hidden@127.0.0.1:1"] }).catch(
      (error: Error) => error.message,
    );
    expect(refused).toContain("127.0.0.1:1");
    expect(refused).not.toContain("hidden");
  });

  test("one by one keep the login that any of them holds", () => {
    expect(eachServer({ servers: ["nats://a:1", "nats://bob:p%40w@b:2"] })).toEqual([
      { servers: ["nats://a:1"], user: "bob", password: "p@w" },
      { servers: ["nats://b:2"], user: "bob", password: "p@w" },
    ]);
    expect(eachServer({ servers: ["tls://a", "b"], token: "t" })).toEqual([
      { servers: ["tls://a"], token: "t", tls: {} },
      { servers: ["b"], token: "t", tls: {} },
    ]);
  });
});
