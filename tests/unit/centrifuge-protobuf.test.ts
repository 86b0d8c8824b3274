import { expect, test } from "bun:test";
import fc from "fast-check";
import { Errors } from "../../src/core/errors.ts";
import { centrifugeProtobuf as codec } from "../../src/protocol/centrifuge/protobuf.ts";
import { codecContract } from "../contract/codec.ts";
import { type Plain, STOCK_CODECS } from "../helpers/stock-codec.ts";

codecContract(codec, STOCK_CODECS["centrifuge-protobuf"]);

const bytesOf = (...parts: readonly (number | string)[]) =>
  new Uint8Array(parts.flatMap((part) => (typeof part === "number" ? [part] : [...Buffer.from(part)])));
/** A frame of one short command with these bytes. */
const framed = (...parts: readonly (number | string)[]) => {
  const body = bytesOf(...parts);
  return bytesOf(body.length, ...body);
};
const CHANNEL = [10, 1, "c"] as const; // field 1, one byte long

test.each([
  ["a length cut short", bytesOf(0x80)],
  ["a length beyond the frame", bytesOf(5, 8, 1)],
  ["a huge length", bytesOf(0xff, 0xff, 0xff, 0xff, 0x07)],
  ["a length of more than 32 bits", bytesOf(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)],
  ["a varint without an end", framed(8, ...Array.from({ length: 11 }, () => 0xff))],
  ["a varint cut short", framed(8, 0x80)],
  ["a tag cut short", framed(0x80)],
  ["a nested length beyond its message", framed(8, 1, 66, 9, ...CHANNEL)],
  ["field 0", framed(8, 1, 66, 3, ...CHANNEL, 0, 1)],
  ["an id that is text", framed(10, 1, "1", 66, 3, ...CHANNEL)],
  ["an id beyond 32 bits", framed(8, 0x80, 0x80, 0x80, 0x80, 0x10, 66, 3, ...CHANNEL)],
  ["a method that is a number", framed(8, 1, 64, 1)],
  ["a channel that is a number", framed(8, 1, 66, 2, 8, 7)],
  ["a channel in 32 bits", framed(8, 1, 66, 5, 13, 1, 2, 3, 4)],
  ["a channel that is not UTF-8", framed(8, 1, 66, 3, 10, 1, 0xc3)],
  ["a group", framed(8, 1, 66, 5, ...CHANNEL, 0xfb, 0x01)],
  ["an unknown wire type", framed(8, 1, 66, 5, ...CHANNEL, 0xff, 0x01)],
  ["an unknown field cut short", framed(8, 1, 0xf2, 0x01, 9, 1)],
  ["packed numbers where one is due", framed(8, 1, 82, 6, ...CHANNEL, 58, 1, 1)],
  ["no method but unknown ones", framed(8, 1, 0xf2, 0x01, 1, 1)],
])("%s is malformed", (_what, frame) => {
  expect(codec.decode(frame)).toMatchObject([{ method: "malformed" }]);
});

test("unknown fields of every wire type are passed over", () => {
  const extra = [0xf0, 0x01, 0xff, 0x7f, 0xf1, 0x01, ...Array.from({ length: 8 }, () => 1), 0xf2, 0x01, 1, 1];
  const inner = [...CHANNEL, ...extra, 0xf5, 0x01, 1, 2, 3, 4];
  const frame = framed(8, 1, ...extra, 66, inner.length, ...inner);
  expect(codec.decode(frame)).toEqual([{ method: "presence", id: 1, channel: "c" }]);
});

test("what came before a flaw counts, what comes after is not read", () => {
  const connect = framed(8, 1, 34, 0);
  const frame = bytesOf(...connect, ...framed(8, 0x80), ...connect);
  expect(codec.decode(frame).map(({ method }) => method)).toEqual(["connect", "malformed"]);
});

test("any bytes can be published, but services are asked with JSON only", () => {
  const command = (command: Plain) => codec.decode(STOCK_CODECS["centrifuge-protobuf"].commands(command))[0];
  const data = new Uint8Array([0, 255, 10]);
  expect(command({ id: 1, publish: { channel: "c", data } })).toMatchObject({ method: "publish", data });
  const empty = { method: "publish", data: new Uint8Array() };
  expect(command({ id: 1, publish: { channel: "c" } })).toMatchObject(empty);
  for (const [method, fields] of [
    ["connect", { data }],
    ["subscribe", { channel: "c", data }],
    ["rpc", { method: "m", data }],
  ] as const) {
    expect(command({ id: 1, [method]: fields })).toEqual({
      method: "refused",
      id: 1,
      error: Errors.badRequest,
    });
  }
  expect(command({ send: { data } })).toEqual({ method: "refused", id: 0, error: Errors.badRequest });
  const pretty = new TextEncoder().encode('{\n"a": 1.0\r\n}');
  expect(command({ id: 1, rpc: { method: "m", data: pretty } })).toMatchObject({ data: '{ "a": 1.0  }' });
});

test("bytes reach Protobuf clients as they are", () => {
  const data = new Uint8Array([1, 2, 255]);
  const push = codec.publicationPush("c", codec.publication({ offset: 0, data, timeMs: 0 }));
  expect(STOCK_CODECS["centrifuge-protobuf"].replies(push)).toEqual([
    { push: { channel: "c", pub: { data } } },
  ]);
});

test("a kept publication keeps no bigger buffer alive", () => {
  const encoded = codec.publication({ offset: 1, data: "1", timeMs: 0 });
  expect(encoded.buffer.byteLength).toBe(encoded.length);
});

test("commands that were changed anywhere are read or refused, never thrown at anybody", () => {
  const channel = fc.string({ unit: "grapheme" });
  const good = fc.oneof(
    fc.record({ id: fc.nat(), publish: fc.record({ channel, data: fc.jsonValue() }) }),
    fc.record({
      id: fc.nat(),
      subscribe: fc.record({ channel, offset: fc.maxSafeNat(), recover: fc.boolean() }),
    }),
    fc.record({
      id: fc.nat(),
      connect: fc.record({ token: channel, headers: fc.dictionary(channel, channel), data: fc.jsonValue() }),
    }),
  );
  const change = fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }), cut: fc.boolean() });
  fc.assert(
    fc.property(good, fc.array(change, { minLength: 1, maxLength: 4 }), (command, changes) => {
      let frame = new Uint8Array(STOCK_CODECS["centrifuge-protobuf"].commands(command) as Uint8Array);
      for (const { at, to, cut } of changes) {
        if (frame.length === 0) break;
        frame[at % frame.length] = to;
        if (cut) frame = frame.slice(0, at % frame.length);
      }
      const commands = codec.decode(frame);
      expect(commands.length).toBeGreaterThan(0);
      const flaws = commands.filter(({ method }) => method === "malformed");
      expect(flaws.length === 0 || (flaws.length === 1 && commands.at(-1) === flaws[0])).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});
