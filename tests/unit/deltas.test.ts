import { expect, test } from "bun:test";
import fc from "fast-check";
import { Stats } from "../../src/core/stats.ts";
import type { Fanout } from "../../src/gateway/channel/audience.ts";
import { DeltaAudience } from "../../src/gateway/channel/delta-audience.ts";
import { RingEntry } from "../../src/gateway/channel/ring.ts";
import type { Subscriber } from "../../src/gateway/channel/subscriber.ts";
import { centrifugeJson } from "../../src/protocol/centrifuge/json.ts";
import { centrifugeProtobuf } from "../../src/protocol/centrifuge/protobuf.ts";
import type { Codec, Frame } from "../../src/protocol/codec.ts";
import { STOCK_CODECS, type StockCodec } from "../helpers/stock-codec.ts";

const ENCODINGS: readonly (readonly [Codec, StockCodec])[] = [
  [centrifugeJson, STOCK_CODECS["centrifuge-json"]],
  [centrifugeProtobuf, STOCK_CODECS["centrifuge-protobuf"]],
];

/** An audience with its topics, and how many times a message was published or sent. */
function audienceOf(codec: Codec) {
  const topics = new Map<string, Set<(frame: Frame) => void>>();
  const fanout: Fanout = {
    publish(topic, frame) {
      for (const receive of topics.get(topic) ?? []) receive(frame);
      return true;
    },
  };
  const stats = new Stats();
  const audience = new DeltaAudience(codec, codec.deltas!, "chat:1", 0);
  return {
    audience,
    stats,
    publish(data: string | Uint8Array, except?: Subscriber) {
      return audience.broadcast(new RingEntry({ offset: 1, data, timeMs: 0 }), fanout, stats, except);
    },
    /** A subscriber; what it gets goes through the stock client's own reading of deltas. */
    subscriber(stock: StockCodec) {
      const data: unknown[] = [];
      const deltas: boolean[] = [];
      const read = stock.deltaReader();
      const receive = (frame: Frame) => {
        const message = read(frame);
        data.push(message.data);
        deltas.push(message.delta);
      };
      const session: Subscriber = {
        client: "",
        codec,
        userIn: () => undefined,
        send: receive,
        publishTopic(topic: string, frame: Frame) {
          for (const one of topics.get(topic) ?? []) if (one !== receive) one(frame);
          return true;
        },
        subscribeTopic(topic) {
          topics.set(topic, (topics.get(topic) ?? new Set<(frame: Frame) => void>()).add(receive));
        },
        unsubscribeTopic(topic) {
          topics.get(topic)?.delete(receive);
        },
      };
      audience.add(session);
      return { session, data, deltas };
    },
  };
}

const text = (n: number) => JSON.stringify({ seq: n, state: "größe ".repeat(20), score: n * 7 });

for (const [codec, stock] of ENCODINGS) {
  test(`${codec.name}: the first message is whole, later ones are differences, made once for all`, () => {
    const { audience, stats, publish, subscriber } = audienceOf(codec);
    const ann = subscriber(stock);
    const bob = subscriber(stock);
    publish(text(1));
    publish(text(2));
    const late = subscriber(stock);
    publish(text(3));
    publish(text(4));
    const values = [1, 2, 3, 4].map((n) => JSON.parse(text(n)) as unknown);
    expect(ann.data).toEqual(values);
    expect(bob.data).toEqual(values);
    expect(late.data).toEqual(values.slice(2));
    expect([ann.deltas, late.deltas]).toEqual([
      [false, true, true, true],
      [false, true],
    ]);
    // Once for those who wait and once for those who follow, however many they are.
    expect([stats.publicationsOut, stats.deliveries, audience.size]).toEqual([5, 10, 3]);
    audience.delete(bob.session);
    audience.delete(late.session);
    publish(text(5));
    expect([ann.data.length, bob.data.length, audience.size]).toEqual([5, 4, 1]);
  });

  test(`${codec.name}: who comes back to an audience nobody was in begins with a whole one`, () => {
    const { audience, publish, subscriber } = audienceOf(codec);
    const ann = subscriber(stock);
    publish(text(1));
    audience.delete(ann.session);
    const again = subscriber(stock);
    publish(text(9));
    publish(text(10));
    expect(again.deltas).toEqual([false, true]);
    expect(again.data.at(-1)).toEqual(JSON.parse(text(10)));
  });

  test(`${codec.name}: who is left out of a message gets the next one whole`, () => {
    const { stats, publish, subscriber } = audienceOf(codec);
    const ann = subscriber(stock);
    const bob = subscriber(stock);
    publish(text(1));
    publish(text(2), ann.session);
    const cid = subscriber(stock);
    publish(text(3), cid.session);
    publish(text(4));
    const values = (...ns: number[]) => ns.map((n) => JSON.parse(text(n)) as unknown);
    expect([ann.data, bob.data, cid.data]).toEqual([values(1, 3, 4), values(1, 2, 3, 4), values(4)]);
    expect(ann.deltas).toEqual([false, false, true]);
    expect(bob.deltas).toEqual([false, true, true, true]);
    expect(stats.deliveries).toBe(8);
  });

  test(`${codec.name}: short, long and unlike messages are sent whole`, () => {
    const { publish, subscriber } = audienceOf(codec);
    const ann = subscriber(stock);
    publish('{"a":1}');
    publish('{"a":2}');
    publish(JSON.stringify("x".repeat(20_000)));
    publish(JSON.stringify(`${"x".repeat(20_000)}y`));
    publish(JSON.stringify(crypto.randomUUID().repeat(3)));
    publish(JSON.stringify(crypto.randomUUID().repeat(3).toUpperCase()));
    expect(ann.deltas).not.toContain(true);
  });

  test(`${codec.name}: whatever is published is read as it was`, () => {
    const part = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 30 }),
      fc.constantFrom("ü", "ö", "🙂", "🙃"),
    );
    const message = fc.record({
      head: fc.constantFrom("ü".repeat(60), "🙂🙃".repeat(20), "{}[]".repeat(30)),
      parts: fc.array(part, { maxLength: 8 }),
    });
    const step = fc.oneof({ weight: 4, arbitrary: message }, { weight: 1, arbitrary: fc.constant("join") });
    fc.assert(
      fc.property(fc.array(step, { minLength: 2, maxLength: 12 }), (steps) => {
        const { publish, subscriber } = audienceOf(codec);
        const subscribers = [{ ...subscriber(stock), from: 0 }];
        const published: unknown[] = [];
        for (const one of steps) {
          if (one === "join") subscribers.push({ ...subscriber(stock), from: published.length });
          else {
            published.push(one);
            publish(JSON.stringify(one));
          }
        }
        for (const { data, from } of subscribers) expect(data).toEqual(published.slice(from));
      }),
    );
  });
}

test("bytes have differences too, and their base64 form in JSON", () => {
  const bytes = (n: number) => new Uint8Array(200).fill(200).with(100, n);
  for (const [codec, stock] of ENCODINGS) {
    const { publish, subscriber } = audienceOf(codec);
    const ann = subscriber(stock);
    for (const n of [1, 2]) publish(bytes(n));
    const seen = codec === centrifugeJson ? [1, 2].map((n) => bytes(n).toBase64()) : [1, 2].map(bytes);
    expect(ann.data).toEqual(seen);
    expect(ann.deltas).toEqual([false, true]);
  }
});

test("contents that take long to compare go whole once they have taken enough of everybody's time", () => {
  const { publish, subscriber } = audienceOf(centrifugeJson);
  const reader = subscriber(STOCK_CODECS["centrifuge-json"]);
  const bombs = Array.from({ length: 200 }, (_, n) =>
    JSON.stringify(n % 2 === 0 ? "a".repeat(16_000 - n) : `${"a".repeat(8_000)}b${"a".repeat(7_999 - n)}`),
  );
  // Each look at the clock is 10 ms after the one before: so long does each comparison take.
  const clock = performance.now.bind(performance);
  let now = clock();
  performance.now = () => {
    now += 10;
    return now;
  };
  try {
    for (const bomb of bombs) publish(bomb);
  } finally {
    performance.now = clock;
  }
  expect(reader.data.map((data) => JSON.stringify(data))).toEqual(bombs);
  expect(reader.deltas.filter(Boolean).length).toBeLessThan(40);
});
