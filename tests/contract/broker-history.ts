import { expect, test } from "bun:test";
import { Errors } from "../../src/core/errors.ts";
import type { Position } from "../../src/core/position.ts";
import { until } from "../helpers/until.ts";
import {
  type Context,
  failsWith,
  follow,
  freshChannel,
  has,
  numbered,
  publishAll,
  TEST_MS,
} from "./broker-context.ts";

/** What the store keeps, how it is read, and what a page proves. */
export function historyContract(context: () => Context): void {
  /** A channel with messages `0`, `1`, …, among others' messages, so that its offsets are not contiguous. */
  async function filled(count: number, namespace = "keep") {
    const { a, b } = context();
    const channel = freshChannel(namespace);
    const other = freshChannel(namespace);
    const { position: start } = await a.broker.history(channel, { limit: 0 });
    const offsets: number[] = [];
    for (const body of numbered(count)) {
      offsets.push((await a.broker.publish(channel, body)).offset);
      await b.broker.publish(other, '"other"');
    }
    const at = (index: number) => ({ epoch: start.epoch, offset: offsets[index]! });
    return { channel, start, offsets, at };
  }

  test("since a position: what came after it, oldest first, proven complete", async () => {
    const { b } = context();
    const { channel, start, offsets, at } = await filled(10);
    const all = await b.broker.history(channel, { since: start, limit: 100 });
    expect(all.publications.map((one) => one.data)).toEqual(numbered(10));
    expect(all.publications.map((one) => one.offset)).toEqual(offsets);
    expect(all).toMatchObject({ position: at(9), complete: true, more: false });

    const some = await b.broker.history(channel, { since: at(6), limit: 100 });
    expect(some.publications.map((one) => one.data)).toEqual(["7", "8", "9"]);
    expect(some).toMatchObject({ position: at(9), complete: true, more: false });

    const none = await b.broker.history(channel, { since: at(9), limit: 100 });
    expect(none).toEqual({ publications: [], position: at(9), complete: true, more: false });
  });

  test("a position is worth something only where the store has it", async () => {
    const { a, b } = context();
    const { channel, at } = await filled(3);
    expect((await b.broker.verify(channel, at(2))).standing).toBe("stands");
    expect((await b.broker.verify(channel, { ...at(2), epoch: "" })).standing).toBe("stands");
    expect((await b.broker.verify(channel, { ...at(2), epoch: "other" })).standing).toBe("void");
    for (const offset of [Number.MAX_SAFE_INTEGER, at(2).offset + 1_000_000]) {
      expect((await a.broker.verify(channel, { ...at(2), offset })).standing).toBe("void");
      const query = { since: { ...at(2), offset }, limit: 10 };
      await failsWith(a.broker.history(channel, query), Errors.unrecoverablePosition);
    }
    await failsWith(b.broker.verify(freshChannel("live"), at(2)), Errors.notAvailable);
  });

  test("until an offset: proven complete up to there, and where that cannot be, not said so", async () => {
    const { b } = context();
    const { channel, offsets, at } = await filled(10);
    const query = { since: at(3), until: offsets[6]!, limit: 100 };
    const page = await b.broker.history(channel, query);
    expect(page.publications.slice(0, 3).map((one) => one.data)).toEqual(["4", "5", "6"]);
    expect(page).toMatchObject({ complete: true, more: false });
    expect(page.position.offset).toBeGreaterThanOrEqual(offsets[6]!);
    const cut = await b.broker.history(channel, { ...query, limit: 2 });
    expect(cut.publications.map((one) => one.data)).toEqual(["4", "5"]);
    expect(cut).toMatchObject({ complete: true, more: true });
    // Of five kept there are fewer than five up to the end: nothing of that proves that none was dropped before.
    await b.broker.publish(freshChannel("few"), '"older than all"');
    const few = await filled(12, "few");
    const dropped = await b.broker.history(few.channel, {
      since: few.at(2),
      until: few.offsets[9]!,
      limit: 100,
    });
    expect(dropped.complete).toBe(false);
  });

  test("a limit cuts the page and says so; pages join without a gap", async () => {
    const { b } = context();
    const { channel, start, at } = await filled(10);
    const seen: unknown[] = [];
    let since = start;
    for (const [count, more] of [
      [4, true],
      [4, true],
      [2, false],
    ] as const) {
      const page = await b.broker.history(channel, { since, limit: 4 });
      expect(page.publications.length).toBe(count);
      expect(page).toMatchObject({ position: at(9), complete: true, more });
      seen.push(...page.publications.map((one) => one.data));
      since = { epoch: since.epoch, offset: page.publications.at(-1)!.offset };
    }
    expect(seen).toEqual(numbered(10));
    // Exactly as many as there are: nothing was cut.
    const exact = await b.broker.history(channel, { since: start, limit: 10 });
    expect(exact.publications.length).toBe(10);
    expect(exact.more).toBe(false);
  });

  test.each([[false], [true]])(
    "bytes cut the page and say so, a first message comes whatever its length; reverse: %p",
    async (reverse) => {
      const { a, b } = context();
      const channel = freshChannel();
      for (let n = 0; n < 9; n++) await a.broker.publish(channel, JSON.stringify(String(n).repeat(400)));
      const seen: string[] = [];
      for (let since: Position | undefined, pages = 1; ; pages++) {
        const page = await b.broker.history(channel, {
          ...{ limit: 100, maxBytes: 1_200, proof: false, reverse },
          ...(since && { since }),
        });
        expect(page.publications.length).toBe(pages < 5 ? 2 : 1);
        expect(page.more).toBe(pages < 5);
        seen.push(...page.publications.map(({ data }) => (data as string)[1]!));
        since = { epoch: page.position.epoch, offset: page.publications.at(-1)!.offset };
        if (!page.more) break;
      }
      const all = [..."012345678"];
      expect(seen).toEqual(reverse ? all.toReversed() : all);
      const one = await b.broker.history(channel, { limit: 100, maxBytes: 1, reverse });
      expect([one.publications.length, one.more]).toEqual([1, true]);
    },
    TEST_MS,
  );

  test("limit 0 asks for the position only", async () => {
    const { b } = context();
    const { channel, start, at } = await filled(3);
    for (const query of [{ limit: 0 }, { limit: 0, since: start }, { limit: 0, reverse: true }]) {
      const page = await b.broker.history(channel, query);
      expect(page.publications).toEqual([]);
      expect(page.position).toEqual(at(2));
    }
  });

  test("without a position: from the oldest, or with reverse from the newest", async () => {
    const { b } = context();
    const { channel } = await filled(6);
    const oldest = await b.broker.history(channel, { limit: 4 });
    expect(oldest.publications.map((one) => one.data)).toEqual(numbered(4));
    expect(oldest.more).toBe(true);
    const newest = await b.broker.history(channel, { limit: 4, reverse: true });
    expect(newest.publications.map((one) => one.data)).toEqual(["5", "4", "3", "2"]);
    expect(newest.more).toBe(true);
    const all = await b.broker.history(channel, { limit: 6, reverse: true });
    expect(all.publications.map((one) => one.data)).toEqual(numbered(6).reverse());
    expect(all.more).toBe(false);
  });

  test("reverse from a position: what came before it, newest first, the position itself excluded", async () => {
    const { b } = context();
    const { channel, start, at } = await filled(6);
    const page = await b.broker.history(channel, { since: at(4), limit: 2, reverse: true });
    expect(page.publications.map((one) => one.data)).toEqual(["3", "2"]);
    expect(page).toMatchObject({ position: at(5), more: true });
    const rest = await b.broker.history(channel, { since: at(2), limit: 10, reverse: true });
    expect(rest.publications.map((one) => one.data)).toEqual(["1", "0"]);
    expect(rest.more).toBe(false);
    const none = await b.broker.history(channel, { since: start, limit: 10, reverse: true });
    expect(none.publications).toEqual([]);
    expect(none.more).toBe(false);
  });

  test("from a time: what was stored at or after it", async () => {
    const { a, b } = context();
    const channel = freshChannel();
    const apart = async () => {
      const before = Date.now();
      await until(() => Date.now() > before + 20);
      return Date.now() - 10;
    };
    await publishAll(a, channel, ["0", "1"]);
    const middle = await apart();
    await publishAll(a, channel, ["2", "3", "4"]);
    const end = await apart();
    const from = async (sinceMs: number, limit: number) =>
      (await b.broker.history(channel, { sinceMs, limit })).publications.map((one) => one.data);
    expect(await from(0, 10)).toEqual(numbered(5));
    expect(await from(middle, 10)).toEqual(["2", "3", "4"]);
    expect(await from(middle, 2)).toEqual(["2", "3"]);
    expect(await from(end, 10)).toEqual([]);
  });

  test("publications carry the time they were published, and what is read equals what was delivered", async () => {
    const { a, b } = context();
    const channel = freshChannel();
    const { sink, start } = await follow(b, channel);
    const before = Date.now();
    await a.broker.publish(channel, '{"a":1}', { event: "e", tags: { k: "v" }, priority: "high" });
    await has(sink, 1);
    const { publications } = await b.broker.history(channel, { limit: 1 });
    expect(sink.offsets[0]).toBeGreaterThan(start);
    const { prev: _live, ...delivered } = sink.publications[0]!;
    const { prev: _read, ...read } = publications[0]!;
    expect(read).toEqual(delivered);
    expect(read.timeMs).toBeGreaterThanOrEqual(before - 1);
    expect(read.timeMs).toBeLessThanOrEqual(Date.now() + 1);
  });

  test("an empty channel has a position from which everything later is proven", async () => {
    const { a, b } = context();
    await a.broker.publish(freshChannel(), "1");
    const channel = freshChannel();
    const empty = await b.broker.history(channel, { limit: 10 });
    expect(empty).toMatchObject({ publications: [], more: false });
    expect(empty.position.epoch).not.toBe("");
    expect(empty.position.offset).toBeGreaterThan(0);
    const { attachment } = await follow(b, channel);
    for (const since of [empty.position, attachment.position]) {
      expect(await b.broker.history(channel, { since, limit: 10 })).toMatchObject({
        publications: [],
        complete: true,
        more: false,
      });
    }
    const { offset } = await a.broker.publish(channel, '"first"');
    expect(offset).toBeGreaterThan(empty.position.offset);
    const page = await b.broker.history(channel, { since: empty.position, limit: 10 });
    expect(page.publications.map((one) => one.data)).toEqual(['"first"']);
    expect(page).toMatchObject({ position: { offset }, complete: true, more: false });
  });

  test("the namespace's size is kept per channel; what it dropped cannot be proven", async () => {
    const { a, b } = context();
    // An empty channel's position is what `a` knows of the stream it is in, whichever of several that is: what is kept
    // must not begin after that.
    for (let n = 0; n < 24; n++) await a.broker.publish(freshChannel("few"), '"older than all"');
    const { channel, start, at } = await filled(12, "few");
    const page = await b.broker.history(channel, { since: start, limit: 100 });
    expect(page.publications.map((one) => one.data)).toEqual(numbered(5, 7));
    expect(page).toMatchObject({ position: at(11), complete: false, more: false });
    expect((await b.broker.history(channel, { since: at(3), limit: 2 })).complete).toBe(false);
    const within = await b.broker.history(channel, { since: at(7), limit: 100 });
    expect(within.publications.map((one) => one.data)).toEqual(numbered(4, 8));
    expect(within).toMatchObject({ complete: true, more: false });
    const quiet = await filled(3, "few");
    expect(await b.broker.history(quiet.channel, { since: quiet.start, limit: 100 })).toMatchObject({
      complete: true,
    });
  });

  test(
    "the namespace's age drops messages; the sequence goes on, and what is gone cannot be proven",
    async () => {
      const { a, b } = context();
      const { channel, start, offsets } = await filled(3, "brief");
      const { sink, attachment } = await follow(b, channel);
      await until(async () => (await b.broker.history(channel, { limit: 10 })).publications.length === 0, {
        what: "messages to age out",
        timeoutMs: TEST_MS / 2,
      });
      const page = await b.broker.history(channel, { since: start, limit: 10 });
      expect(page).toMatchObject({ publications: [], complete: false, more: false });
      expect(page.position.offset).toBeGreaterThanOrEqual(offsets[2]!);
      const { offset } = await a.broker.publish(channel, '"later"');
      expect(offset).toBeGreaterThan(page.position.offset);
      await has(sink, 1);
      expect(sink.losses).toEqual([]);
      expect(attachment.position.offset).toBe(offset);
    },
    TEST_MS,
  );

  test("clearHistory removes what is kept of one channel and nothing else", async () => {
    const { a, b } = context();
    const { channel, start, at } = await filled(4);
    const other = await filled(2);
    const { sink } = await follow(b, channel);
    await a.broker.clearHistory(channel);
    expect((await b.broker.history(channel, { limit: 10 })).publications).toEqual([]);
    expect((await b.broker.history(other.channel, { limit: 10 })).publications.length).toBe(2);
    expect((await b.broker.history(channel, { since: start, limit: 10 })).complete).toBe(false);

    const { offset } = await a.broker.publish(channel, '"after"');
    expect(offset).toBeGreaterThan(at(3).offset);
    await has(sink, 1);
    expect(sink.losses).toEqual([]);
    const page = await b.broker.history(channel, { since: at(3), limit: 10 });
    expect(page.publications.map((one) => one.data)).toEqual(['"after"']);
    await a.broker.clearHistory(freshChannel());
  });

  test("a position of another epoch is refused, an empty epoch means the current one", async () => {
    const { b } = context();
    const { channel, at } = await filled(3);
    const since = { epoch: "another", offset: at(0).offset };
    await failsWith(b.broker.history(channel, { since, limit: 1 }), Errors.unrecoverablePosition);
    await failsWith(
      b.broker.history(channel, { since, limit: 1, reverse: true }),
      Errors.unrecoverablePosition,
    );
    const page = await b.broker.history(channel, { since: { ...since, epoch: "" }, limit: 10 });
    expect(page.publications.map((one) => one.data)).toEqual(["1", "2"]);
  });

  test("a namespace without history has none to read, clear or list", async () => {
    const { broker } = context().a;
    const channel = freshChannel("live");
    await failsWith(broker.history(channel, { limit: 1 }), Errors.notAvailable);
    await failsWith(broker.clearHistory(channel), Errors.notAvailable);
    await failsWith(broker.storedChannels("live", 1), Errors.notAvailable);
    await failsWith(broker.newestIn("live"), Errors.notAvailable);
  });

  test("newestIn names the channel that was published to last", async () => {
    const { a, b } = context();
    for (const channel of [freshChannel("bytes"), freshChannel("bytes")]) {
      const before = Date.now();
      await a.broker.publish(channel, "1");
      const newest = await b.broker.newestIn("bytes");
      expect(newest?.channel).toBe(channel.id);
      expect(newest!.timeMs).toBeWithin(before - 1_000, Date.now() + 1_000);
    }
  });

  test("storedChannels names the channels that have messages, up to a limit", async () => {
    const { a, b } = context();
    const channels = [freshChannel("bytes"), freshChannel("bytes"), freshChannel("bytes")];
    const cleared = freshChannel("bytes");
    for (const channel of [...channels, cleared]) await a.broker.publish(channel, "1");
    await a.broker.clearHistory(cleared);
    const names = await b.broker.storedChannels("bytes", 1_000);
    expect(names).toEqual(expect.arrayContaining(channels.map((one) => one.id)));
    expect(names).not.toContain(cleared.id);
    expect(new Set(names).size).toBe(names.length);
    expect((await b.broker.storedChannels("bytes", 2)).length).toBe(2);
    const unprefixed = freshChannel("default");
    await a.broker.publish(unprefixed, "1");
    expect(await b.broker.storedChannels("default", 1_000)).toContain(unprefixed.name);
  });
}
