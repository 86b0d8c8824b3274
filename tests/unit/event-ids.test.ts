import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EventIds, readEventId } from "../../src/http/streams/event-ids.ts";
import { STREAM_CODECS } from "../../src/protocol/centrifuge/stream-codecs.ts";

const codec = STREAM_CODECS.uni_sse["centrifuge-json"];
const sub = (offset: number, epoch = "e") => ({
  recoverable: true,
  positioned: true,
  position: { epoch, offset },
  wasRecovering: false,
  recovered: false,
  publications: [] as string[],
});
const connect = (subs: ReadonlyMap<string, ReturnType<typeof sub>>) =>
  codec.connect(1, {
    client: "c",
    version: "v",
    ping: 25,
    pong: false,
    node: "n",
    timeMs: 1,
    subs,
  }) as string;
const publication = (channel: string, offset: number) =>
  codec.publicationPush(channel, codec.publication({ offset, data: '{"a":"\\"}"}', timeMs: 0 })) as string;

describe("ids of events", () => {
  test("come back as the positions of all channels, whatever their names", () => {
    const names = fc.uniqueArray(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }), {
      maxLength: 10,
    });
    fc.assert(
      fc.property(names, fc.string({ maxLength: 9, unit: "grapheme-ascii" }), (channels, epoch) => {
        const ids = new EventIds();
        const first = ids.next(connect(new Map(channels.map((name, n) => [name, sub(n, epoch)]))));
        // In any order: JSON's objects have names that look like numbers first.
        expect(new Map(readEventId(first ?? null))).toEqual(
          new Map(channels.map((name, n) => [name, { epoch, offset: n }])),
        );
        for (const [n, name] of channels.entries()) {
          const id = ids.next(publication(name, 1_000 + n));
          expect(readEventId(id ?? null).get(name)).toEqual({ epoch, offset: 1_000 + n });
        }
      }),
    );
  });

  test("are behind what the connect answer brings, and follow subscriptions of the server", () => {
    const ids = new EventIds();
    const missed = {
      ...sub(3),
      recovered: true,
      publications: [4, 9].map((n) => `{"offset":${n},"data":1}`),
    };
    expect(ids.next(connect(new Map([["chat:a", missed]])))).toBe("chat%3Aa=e:9");
    expect(ids.next(codec.subscribePush("b", sub(5)) as string)).toBe("chat%3Aa=e:9&b=e:5");
    expect(ids.next(publication("b", 7))).toBe("chat%3Aa=e:9&b=e:7");
    expect(ids.next(codec.unsubscribePush("chat:a", 2000, "x") as string)).toBe("b=e:7");
  });

  test("stay away where nothing changes: pings, channels without positions", () => {
    const ids = new EventIds();
    ids.next(connect(new Map([["live:a", { ...sub(0), recoverable: false, positioned: false }]])));
    for (const frame of [codec.ping as string, publication("live:a", 0), publication("other", 4)]) {
      expect(ids.next(frame)).toBeUndefined();
    }
  });

  test("are refused when no header would hold them", () => {
    const many = new Map(Array.from({ length: 128 }, (_, n) => [`chat:${"x".repeat(100)}${n}`, sub(n)]));
    expect(() => new EventIds().next(connect(many))).toThrow(RangeError);
  });

  test("made up by somebody else they say nothing, or what they say", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("=", ":", "&", "%", "1", "9", "a", "\ud800", "\0") }),
        (id) => {
          for (const { offset } of readEventId(id).values()) expect(Number.isSafeInteger(offset)).toBe(true);
        },
      ),
    );
    expect([...readEventId("a=%ZZ:1&b=e:x&=e:1&c=e:99999999999999999&d=e:5")]).toEqual([
      ["d", { epoch: "e", offset: 5 }],
    ]);
  });
});
