import { expect, test } from "bun:test";
import { replay } from "../../src/broker/nats/follow/replay.ts";
import { openLink } from "../../src/broker/nats/link/link.ts";
import { Requests, type Waiter } from "../../src/broker/nats/link/requests.ts";
import { StreamAdmin } from "../../src/broker/nats/streams/admin.ts";
import { channelStream } from "../../src/broker/nats/streams/config.ts";
import { LeaderStore } from "../../src/broker/nats/streams/leader-store.ts";
import { Store } from "../../src/broker/nats/streams/store.ts";
import { silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { subjects } from "../../src/core/subject.ts";
import { natsServer } from "../helpers/servers.ts";

const HISTORY = { size: 10_000, ageMs: 600_000, recoverLimit: 10, replicas: 1 };
const MESSAGES = 1_500;

/** Counts what is asked: each takes a round trip, which may cross an ocean. */
class Counted extends Requests {
  count = 0;
  override send(...args: [string, string | Uint8Array, Waiter]): void {
    this.count++;
    super.send(...args);
  }
}

test.each([
  ["the stream where it is led, as far regions read it", LeaderStore],
  ["any copy of it", Store],
])("a replay reads %s whole, and not one message at a time", async (_, Kind) => {
  await using server = await natsServer();
  const own = { name: "test", pingIntervalMs: 5_000, connectTimeoutMs: 2_000 };
  const link = await openLink({ servers: [server.url], ...own, log: silent, stats: new Stats() });
  try {
    const requests = new Counted(link);
    await new StreamAdmin(requests, silent).ensure(
      channelStream(subjects(), { name: "keep", history: HISTORY }, false),
    );
    const js = link.nc.jetstream();
    await Promise.all(Array.from({ length: MESSAGES }, (_, n) => js.publish(`rt.keep.c${n % 7}`, `${n}`)));
    requests.count = 0;
    const seen: number[] = [];
    await replay(link, { store: new Kind(link, requests, "RT_keep"), from: 11 }, (subject, seq) => {
      expect(subject).toStartWith("rt.keep.c");
      return seen.push(seq) > 0;
    });
    expect(seen).toEqual(Array.from({ length: MESSAGES - 10 }, (_, n) => n + 11));
    expect(requests.count).toBeLessThan(10);
  } finally {
    await link.close();
  }
});
