import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ClientInfo, Publication } from "../../src/core/publication.ts";
import { centrifugeJson } from "../../src/protocol/centrifuge/json.ts";
import { centrifugeProtobuf } from "../../src/protocol/centrifuge/protobuf.ts";
import type {
  CentrifugeCodec,
  ConnectResult,
  SubscribeResult,
} from "../../src/protocol/centrifuge/replies.ts";
import { STREAM_CODECS } from "../../src/protocol/centrifuge/stream-codecs.ts";
import type { Codec, Frame } from "../../src/protocol/codec.ts";
import { EncodeError } from "../../src/protocol/fields.ts";
import * as pusherWriters from "../../src/protocol/pusher/pusher.ts";
import { STOCK_CODECS } from "../helpers/stock-codec.ts";

/*
 * The encoders' last line of defence: every function that makes a frame is called with every kind of nonsense a back
 * side could hand through, and makes a frame that clients read, or none. A function without a row here fails.
 */

const number = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 2 ** 31 - 1 }) },
  fc.constantFrom(Number.POSITIVE_INFINITY, Number.NaN, -1, -0, 0.5, 1e24, 2 ** 31, 2 ** 32, 2 ** 53),
  fc.double(),
);
const json = fc.oneof(
  { weight: 3, arbitrary: fc.json().filter((text) => text.isWellFormed()) },
  fc.constantFrom(
    "",
    "NOT JSON",
    "{",
    '{"a":1},"push":{}',
    "1\n2",
    '"\ud800"',
    '"\\ud800"',
    "\u2028",
    '{"a":\n1}',
  ),
  fc.constantFrom(`${"[".repeat(200)}${"]".repeat(200)}`, '{"__proto__":1,"n":9007199254740993,"e":1e400}'),
  fc.string({ unit: "binary" }),
);
const text = fc.string({ unit: "binary" }).map((one) => one.toWellFormed());
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const info: fc.Arbitrary<ClientInfo> = fc.record(
  { client: text, user: text, connInfo: json, chanInfo: json },
  { requiredKeys: ["client", "user"] },
);
const tags = fc.dictionary(text, text, { maxKeys: 3 });
const publication: fc.Arbitrary<Publication> = fc.record(
  {
    ...{ offset: number, timeMs: number, event: text, info, tags },
    data: fc.oneof(json, fc.uint8Array()),
  },
  { requiredKeys: ["offset", "data", "timeMs"] },
);
const position = fc.record({ epoch: text, offset: number });

type Make = (codec: CentrifugeCodec) => Frame | undefined;
const subscribed = (
  codec: CentrifugeCodec,
  result: Omit<SubscribeResult, "publications">,
  pubs: Publication[],
) => ({
  ...result,
  publications: pubs.map((one) => codec.publication(one)),
});
const subscribeResult = fc.record(
  {
    ...{ recoverable: fc.boolean(), positioned: fc.boolean(), position, wasRecovering: fc.boolean() },
    ...{ recovered: fc.boolean(), ttl: number, data: json },
  },
  { requiredKeys: ["recoverable", "positioned", "position", "wasRecovering", "recovered"] },
);
const connectResult = fc.record(
  {
    ...{ client: text, version: text, data: json, ping: number, pong: fc.boolean(), ttl: number },
    ...{ node: text, session: text, timeMs: number },
  },
  { requiredKeys: ["client", "version", "ping", "pong", "node", "timeMs"] },
);

/** Everything of a codec that makes a frame, by its name. */
const CENTRIFUGE: Readonly<Record<string, fc.Arbitrary<Make>>> = {
  error: fc.tuple(number, number, text).map(
    ([id, code, message]) =>
      (codec) =>
        codec.error(id, { code, message }),
  ),
  empty: number.map((id) => (codec) => codec.empty(id, "publish")),
  connect: fc
    .tuple(number, connectResult, subscribeResult, fc.array(publication, { maxLength: 2 }))
    .map(([id, result, sub, pubs]) => (codec) => {
      const subs = new Map([["a", subscribed(codec, sub, pubs)]]);
      return codec.connect(id, { ...result, subs } as ConnectResult);
    }),
  subscribe: fc.tuple(number, subscribeResult, fc.array(publication, { maxLength: 2 })).map(
    ([id, sub, pubs]) =>
      (codec) =>
        codec.subscribe(id, subscribed(codec, sub, pubs)),
  ),
  presence: fc.tuple(number, fc.array(info)).map(
    ([id, members]) =>
      (codec) =>
        codec.presence(id, codec.members(members)),
  ),
  presenceStats: fc.tuple(number, number, number).map((all) => (codec) => codec.presenceStats(...all)),
  history: fc
    .tuple(number, fc.array(publication, { maxLength: 3 }), position)
    .map((all) => (codec) => codec.history(...all)),
  rpc: fc.tuple(number, json).map((all) => (codec) => codec.rpc(...all)),
  refresh: fc.tuple(number, text, text, maybe(number)).map((all) => (codec) => codec.refresh(...all)),
  subRefresh: fc.tuple(number, maybe(number)).map((all) => (codec) => codec.subRefresh(...all)),
  publication: publication.map((one) => (codec) => codec.publicationPush("c", codec.publication(one))),
  publicationPush: fc.tuple(text, publication).map(
    ([channel, one]) =>
      (codec) =>
        codec.publicationPush(channel, codec.publication(one)),
  ),
  memberPush: fc
    .tuple(text, fc.constantFrom("join", "leave"), info)
    .map((all) => (codec) => codec.memberPush(...all)),
  subscribePush: fc.tuple(text, subscribeResult).map(
    ([channel, sub]) =>
      (codec) =>
        codec.subscribePush(channel, subscribed(codec, sub, [])),
  ),
  unsubscribePush: fc.tuple(text, number, text).map((all) => (codec) => codec.unsubscribePush(...all)),
  refreshPush: number.map((ttl) => (codec) => codec.refreshPush(ttl)),
  disconnectPush: fc.tuple(number, text).map((all) => (codec) => codec.disconnectPush(...all)),
};
/** Members of a codec that make no frame out of what is handed to them. */
const NOT_WRITERS = new Set(["members", "name", "ping", "deltas", "decode", "streamed", "unidirectional"]);

/** Makes frames of anything, and has each read. Some must have been made. */
function holds<T>(made: fc.Arbitrary<T>, write: (one: T) => unknown): void {
  let read = 0;
  fc.assert(
    fc.property(made, (one) => {
      try {
        write(one);
        read++;
      } catch (error) {
        if (!(error instanceof EncodeError)) throw error;
      }
    }),
    { numRuns: 1_500 },
  );
  expect(read).toBeGreaterThan(0);
}

describe.each([
  ["JSON", centrifugeJson as CentrifugeCodec, STOCK_CODECS["centrifuge-json"]],
  ["Protobuf", centrifugeProtobuf as CentrifugeCodec, STOCK_CODECS["centrifuge-protobuf"]],
] as const)("%s: written is what clients read, or nothing", (_name, codec, stock) => {
  test("every writer has a row", () => {
    const writers = Object.keys(codec).filter((name) => !NOT_WRITERS.has(name));
    expect(writers.sort()).toEqual(Object.keys(CENTRIFUGE).sort());
  });

  test.each(Object.entries(CENTRIFUGE))("%s", (_name, make) => {
    holds(make, (write) => {
      const frame = write(codec)!;
      if (typeof frame === "string") {
        expect(frame).not.toMatch(/[\r\n]/);
        JSON.parse(frame);
      }
      expect(stock.replies(frame)).toHaveLength(1);
    });
  });
});

test("numbers are written where they fit, and nowhere else", () => {
  for (const codec of [centrifugeJson, centrifugeProtobuf]) {
    for (const ttl of [0, 1, 2 ** 31 - 1]) codec.refreshPush(ttl);
    for (const ttl of [2 ** 31, 2 ** 53, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 1e24]) {
      expect(() => codec.refreshPush(ttl)).toThrow(EncodeError);
    }
    for (const offset of [2 ** 53, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => codec.history(1, [], { epoch: "e", offset })).toThrow(EncodeError);
      expect(() => codec.publication({ offset: 1, data: "1", timeMs: offset })).toThrow(EncodeError);
    }
    expect(() => codec.rpc(1, "NOT JSON")).toThrow(EncodeError);
  }
});

test("what streams write differently is one JSON object, too", () => {
  for (const codec of [STREAM_CODECS.uni_sse, STREAM_CODECS.uni_http_stream].map(
    (both) => both["centrifuge-json"],
  )) {
    for (const [name, make] of Object.entries(CENTRIFUGE)) {
      if (!Object.hasOwn(codec, name) || name === "error" || name === "empty") continue;
      holds(make, (write) => JSON.parse(write(codec) as string));
    }
  }
});

test("the connect of a one-way client is one document, and nothing goes on behind it", () => {
  const { decode } = STREAM_CODECS.uni_http_stream["centrifuge-json"];
  expect(decode('{"token":"t"}')).toMatchObject([{ method: "connect", id: 1, token: "t" }]);
  for (const body of ['{},"id":7', '{},"connect":{"token":"x"}', '{}}\n{"id":2,"rpc":{"method":"m"}']) {
    expect(decode(body)).toMatchObject([{ method: "malformed" }]);
  }
});

/** Everything the Pusher family writes, by its name. */
const users = fc.array(fc.tuple(text, maybe(json)), { maxLength: 3 }).map((all) => new Map(all));
const { pusher, ...OWN } = pusherWriters;
const PUSHER: Readonly<Record<string, fc.Arbitrary<() => string | undefined>>> = {
  connectionEstablished: fc.tuple(text, number).map((all) => () => OWN.connectionEstablished(...all)),
  pusherError: fc.tuple(number, text).map(
    ([code, message]) =>
      () =>
        OWN.pusherError({ code, message }),
  ),
  subscriptionSucceeded: fc.tuple(text, users).map((all) => () => OWN.subscriptionSucceeded(...all)),
  subscriptionError: fc.tuple(text, text, text, number).map((all) => () => OWN.subscriptionError(...all)),
  cacheMiss: text.map((channel) => () => OWN.cacheMiss(channel)),
  signinSuccess: text.map((data) => () => OWN.signinSuccess(data)),
  watchlistEvents: fc.tuple(fc.array(text), fc.array(text)).map((all) => () => OWN.watchlistEvents(...all)),
  position: fc.tuple(text, position, fc.boolean()).map((all) => () => OWN.position(...all)),
  publication: publication.map((one) => () => pusher.publicationPush("a:b", pusher.publication(one))),
  publicationPush: publication.map((one) => () => pusher.publicationPush("b", pusher.publication(one))),
  memberPush: fc
    .tuple(text, fc.constantFrom("join", "leave"), info)
    .map((all) => () => pusher.memberPush(...all)),
  unsubscribePush: fc.tuple(text, number, text).map((all) => () => pusher.unsubscribePush(...all)),
  countPush: fc.tuple(text, number).map((all) => () => pusher.countPush(...all)),
};

describe("pusher writes what clients read, or nothing", () => {
  test("every writer has a row", () => {
    const members = Object.entries(pusher as Codec).filter(([name]) => !["decode", "closing"].includes(name));
    const writers = [...members, ...Object.entries(OWN)].filter(([, one]) => typeof one === "function");
    expect(writers.map(([name]) => name).sort()).toEqual(Object.keys(PUSHER).sort());
  });

  test.each(Object.entries(PUSHER))("%s", (name, make) => {
    holds(make, (write) => {
      const { data } = JSON.parse(write()!) as { data?: unknown };
      // Of errors the protocol has the object itself.
      expect(typeof data).toBe(name === "pusherError" ? "object" : "string");
    });
  });
});
