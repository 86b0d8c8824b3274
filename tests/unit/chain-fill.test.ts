import { describe, expect, test } from "bun:test";
import { missingUpTo, startChain, takeLive } from "../../src/broker/nats/follow/chain.ts";
import { type FillContext, fillChannel, type StoreReads } from "../../src/broker/nats/follow/fill.ts";
import { FollowedChannel } from "../../src/broker/nats/follow/followed-channel.ts";
import { Envelope } from "../../src/broker/nats/link/headers.ts";
import { parseChannel } from "../../src/core/channel.ts";
import { channelContext } from "../helpers/followed-channel.ts";

/** A stream in memory: what is kept of it, its eviction, and the republished messages it sends. */
class FakeStream implements StoreReads {
  kept: { seq: number; subject: string }[] = [];
  last_ = 0;
  /** Messages a lagging copy has not got yet. */
  lag = 0;
  reads = 0;
  readonly size: number;

  constructor(size: number) {
    this.size = size;
  }

  /** Stores one message; returns its sequence and the one before it on its subject. */
  store(subject: string): { seq: number; prev: number } {
    const own = this.kept.filter((one) => one.subject === subject);
    const prev = own.at(-1)?.seq ?? 0;
    const seq = ++this.last_;
    this.kept.push({ seq, subject });
    if (own.length >= this.size) this.drop(own[0]!.seq);
    return { seq, prev };
  }

  drop(seq: number): void {
    this.kept = this.kept.filter((one) => one.seq !== seq);
  }

  async next(subject: string, from: number): Promise<Envelope | null> {
    return this.#envelope(this.#visible(subject).find((one) => one.seq >= from));
  }

  async last(subject: string): Promise<Envelope | null> {
    return this.#envelope(this.#visible(subject).at(-1));
  }

  async read(subject: string, from: number, _hints: object, each: (envelope: Envelope) => boolean) {
    this.reads++;
    const found = this.#visible(subject).filter((one) => one.seq >= from);
    for (const one of found) if (!each(this.#envelope(one)!)) return false;
    return true;
  }

  #visible(subject: string) {
    const upTo = this.last_ - this.lag;
    if (this.lag > 0) this.lag--; // the copy catches up
    return this.kept.filter((one) => one.seq <= upTo && (subject === ">" || one.subject === subject));
  }

  #envelope(one: { seq: number } | undefined): Envelope | null {
    return one ? envelopeOf(one.seq) : null;
  }
}

function envelopeOf(seq: number): Envelope {
  const envelope = new Envelope(new Uint8Array(0));
  envelope.seq = seq;
  return envelope;
}

function follower(stream: FakeStream) {
  const channel = new FollowedChannel(parseChannel("keep:x"), channelContext());
  const got: number[] = [];
  const lost: number[] = [];
  const deliver: FillContext["deliver"] = (_channel, seq) => void got.push(seq);
  const context: FillContext = {
    store: stream,
    size: stream.size,
    retries: 3,
    cleared: () => "cleared.x",
    valid: () => true,
    stands: () => true,
    deliver,
    truncated: (_channel, before) => void lost.push(typeof before === "number" ? before : before.seq - 1),
    filled: () => {},
  };
  return {
    ...{ channel, got, lost },
    start: (last: number) => startChain<Envelope, FollowedChannel>(channel, last, deliver),
    live: ({ seq, prev }: { seq: number; prev: number }) =>
      takeLive(channel, seq, prev, envelopeOf(seq), deliver),
    fill: () => fillChannel(channel, context),
  };
}

describe("filling gaps from the store", () => {
  test("reads on until it meets what is held", async () => {
    const stream = new FakeStream(100);
    const { start, live, fill, got, lost } = follower(stream);
    start(stream.store("x").seq);
    const missed = [stream.store("x"), stream.store("y"), stream.store("x")];
    live(stream.store("x"));
    await fill();
    expect(got).toEqual([missed[0]!.seq, missed[2]!.seq, 5]);
    expect(lost).toEqual([]);
  });

  test("a copy that lags is asked again until it has what is missing", async () => {
    const stream = new FakeStream(100);
    const { start, live, fill, got, lost } = follower(stream);
    start(stream.store("x").seq);
    for (let n = 0; n < 5; n++) stream.store("x");
    live(stream.store("x"));
    stream.lag = 4;
    await fill();
    expect(got).toEqual([2, 3, 4, 5, 6, 7]);
    expect(lost).toEqual([]);
    expect(stream.reads).toBeGreaterThan(1);
  });

  test("what was evicted in between is told, and what is kept delivered", async () => {
    const stream = new FakeStream(3);
    const { start, live, fill, got, lost } = follower(stream);
    start(stream.store("x").seq);
    for (let n = 0; n < 9; n++) stream.store("x");
    live(stream.store("x"));
    await fill();
    expect(lost).toEqual([8]);
    expect(got).toEqual([9, 10, 11]);
  });

  test("as many as fit, and the one before gone: nothing can be proven, so it is told", async () => {
    const stream = new FakeStream(3);
    const { start, fill, channel, got, lost } = follower(stream);
    start(stream.store("x").seq);
    for (let n = 0; n < 3; n++) stream.store("x");
    channel.wanted = 4;
    await fill();
    expect(lost).toEqual([1]);
    expect(got).toEqual([2, 3, 4]);
  });

  test("the one before gone, but fewer than fit and the stream begins before it: proven whole", async () => {
    const stream = new FakeStream(10);
    stream.store("y");
    const { start, live, fill, got, lost } = follower(stream);
    const first = stream.store("x");
    start(first.seq);
    const missed = stream.store("x");
    stream.drop(first.seq);
    const next = stream.store("x");
    live(next);
    await fill();
    expect(got).toEqual([missed.seq, next.seq]);
    expect(lost).toEqual([]);
  });

  test("a channel cleared meanwhile cannot be proven", async () => {
    const stream = new FakeStream(10);
    stream.store("y");
    const { start, live, fill, lost } = follower(stream);
    start(stream.store("x").seq);
    stream.store("x");
    stream.store("cleared.x");
    stream.kept = stream.kept.filter((one) => one.subject !== "x");
    stream.store("x");
    live({ seq: 6, prev: 5 });
    await fill();
    expect(lost).toEqual([4]);
  });

  test("all that is missing gone: told, and the held message delivered", async () => {
    const stream = new FakeStream(10);
    const { start, live, fill, got, lost } = follower(stream);
    start(stream.store("x").seq);
    const missed = stream.store("x");
    const next = stream.store("x");
    live(next);
    stream.kept = [];
    expect(missed.seq).toBe(2);
    await fill();
    expect(lost).toEqual([2]);
    expect(got).toEqual([3]);
  });

  test("1000 feeds, each reordered, doubled and thinned out at random: every message once and in order", async () => {
    for (let seed = 1; seed <= 1_000; seed++) {
      const random = seeded(seed);
      const stream = new FakeStream(1_000);
      const { start, live, fill, channel, got, lost } = follower(stream);
      start(random() < 0.5 ? stream.store("x").seq : 0);
      const sent: number[] = [];
      const air: { seq: number; prev: number }[] = [];
      for (let n = 0; n < 60; n++) {
        if (random() < 0.3) stream.store("y");
        const message = stream.store("x");
        sent.push(message.seq);
        if (random() < 0.9) air.push(message);
        if (random() < 0.1) air.push(message);
        while (air.length > random() * 8) live(air.splice(Math.floor(random() * air.length), 1)[0]!);
        if (random() < 0.1 && missingUpTo(channel) > 0) await fill();
      }
      for (const message of air) live(message);
      channel.wanted = sent.at(-1)!; // as a check of the tail finds
      await fill();
      expect(got).toEqual(sent);
      expect(lost).toEqual([]);
      expect(channel.held).toBeNull();
    }
  });
});

function seeded(seed: number): () => number {
  return () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return ((seed >>> 8) & 0xffff) / 0x10000;
  };
}
