import { expect, test } from "bun:test";
import { until } from "../helpers/until.ts";
import type { EdgeContext } from "./edge-context.ts";

interface Known {
  readonly offset: number;
  readonly epoch: string;
}

/** What a client's position is worth, for stock clients, whatever broker is behind. */
export function positionsTests({ world, client, fresh }: EdgeContext): void {
  const publish = (channel: string, data: unknown, instance: "a" | "b" = "a") =>
    world()[instance].api<Known & { duplicate?: boolean }>("publish", { channel, data });
  const kept = async (channel: string) =>
    (await world().b.api<{ publications: Known[] }>("history", { channel, limit: 100 })).publications;

  test("no offset of a client is believed", async () => {
    const channel = fresh("chat");
    using ann = client("ann");
    using bob = client("bob", {}, "b");
    await Promise.all([ann.connected(), bob.connected()]);
    const following = await bob.subscribe(channel);
    for (let n = 1; n <= 5; n++) await publish(channel, n);
    const third = (await kept(channel))[2]!;
    const { epoch } = await publish(channel, 6);
    const top = (await kept(channel)).at(-1)!.offset;
    // Far above, just above, and what no store of any kind ever gave out.
    for (const offset of [Number.MAX_SAFE_INTEGER, top + 1_000_000, top + 65_536 * 3]) {
      const { sub, subscribed, received } = await ann.subscribe(channel, { since: { epoch, offset } });
      expect({ offset, ...subscribed[0] }).toMatchObject({ wasRecovering: true, recovered: false });
      expect(received).toEqual([]);
      sub.unsubscribe();
      ann.centrifuge.removeSubscription(sub);
    }
    // Nobody is any the worse for it: not who is connected, not who comes back there.
    for (let n = 7; n <= 8; n++) await publish(channel, n, "b");
    const honest = await ann.subscribe(channel, { since: { epoch, offset: third.offset } });
    await until(() => honest.received.length >= 5 && following.received.length >= 8);
    expect(honest.data()).toEqual([4, 5, 6, 7, 8]);
    expect(following.data()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test("acknowledged, live, read, other instance: one offset", async () => {
    const channel = fresh("chat");
    using ann = client("ann");
    using bob = client("bob", {}, "b");
    await Promise.all([ann.connected(), bob.connected()]);
    const both = [await ann.subscribe(channel), await bob.subscribe(channel)];
    const acked: number[] = [];
    for (let n = 0; n < 4; n++) {
      const params = { channel, data: n, idempotency_key: `${channel}-${n}` };
      const first = await world().a.api<Known>("publish", params);
      const again = await world().b.api<Known>("publish", params);
      expect(again).toMatchObject({ offset: first.offset, epoch: first.epoch });
      acked.push(first.offset);
    }
    await ann.centrifuge.publish(channel, "by a client");
    for (const { received } of both) await until(() => received.length === 5);
    const live = both.map(({ received }) => received.map(({ offset }) => offset!));
    const read = (await kept(channel)).map(({ offset }) => offset);
    expect(live).toEqual([read, read]);
    expect(read.slice(0, 4)).toEqual(acked);
    // Whoever recovers gets them under the same offsets.
    using cat = client("cat", {}, "b");
    await cat.connected();
    const since = { offset: read[1]!, epoch: both[0]!.subscribed[0]!.streamPosition!.epoch };
    const { received } = await cat.subscribe(channel, { since });
    await until(() => received.length === 3);
    expect(received.map(({ offset }) => offset)).toEqual(read.slice(2));
  });

  test("cache mode after a new epoch", async () => {
    const channel = fresh("cache");
    using ann = client("ann", {}, "b");
    await ann.connected();
    for (const n of [1, 2, 3]) await publish(channel, n);
    const own = (await kept(channel)).at(-1)!.offset;
    // A client of a stream that is gone, one that takes its offset for this stream's, one that never had a position.
    for (const since of [
      { epoch: "gone", offset: 1_000_000 },
      { epoch: "t_gone", offset: own },
      { epoch: "_", offset: 0 },
    ]) {
      const { sub, subscribed, received } = await ann.subscribe(channel, { since });
      await until(() => received.length === 1, { what: `the latest, coming with ${since.epoch}` });
      expect(received[0]!.data).toBe(3);
      expect(subscribed[0]).toMatchObject({ wasRecovering: true, recovered: true });
      sub.unsubscribe();
      ann.centrifuge.removeSubscription(sub);
    }
  });

  test("quiet channel, getState", async () => {
    const channel = fresh("brief");
    const [unused, contradicted] = [fresh("brief"), fresh("brief")];
    const position = await publish(channel, "before");
    const bogus = { ...(await publish(contradicted, "x")), offset: position.offset + 1_000_000_000 };
    // What the position names ages, and so do its neighbours.
    await until(async () => (await kept(channel)).length === 0, { what: "all to age", timeoutMs: 8_000 });
    await publish(fresh("brief"), "neighbour");
    using ann = client("ann", {}, "b");
    await ann.connected();
    const states: string[] = [];
    /** A backend that keeps its state with the position that it was of. */
    const from = (name: string, { offset, epoch }: Known) => ({
      ...{ minResubscribeDelay: 10, maxResubscribeDelay: 50 },
      getState: async () => {
        states.push(name);
        return { offset, epoch };
      },
    });
    const quiet = await ann.subscribe(channel, from("quiet", position));
    const fromNothing = await ann.subscribe(unused, from("unused", { offset: 0, epoch: "" }));
    for (const { subscribed } of [quiet, fromNothing])
      expect(subscribed[0]).toMatchObject({ recovered: true });
    // Refused once at most: no loop.
    expect(states.filter((name) => name === "quiet").length).toBeLessThanOrEqual(2);
    expect(states.filter((name) => name === "unused").length).toBeLessThanOrEqual(2);
    await publish(channel, "after");
    await publish(unused, "first");
    await until(() => quiet.received.length === 1 && fromNothing.received.length === 1);
    expect([...quiet.data(), ...fromNothing.data()]).toEqual(["after", "first"]);
    // A position that the store never had is never served, however often it comes.
    const wrong = ann.centrifuge.newSubscription(contradicted, from("wrong", bogus));
    let served = 0;
    wrong.on("subscribed", () => served++);
    wrong.subscribe();
    await until(() => states.filter((name) => name === "wrong").length >= 4, { what: "four refusals" });
    expect(served).toBe(0);
    wrong.unsubscribe();
  });
}
