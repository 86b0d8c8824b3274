import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { centrifugeJson as codec } from "../../src/protocol/centrifuge/json.ts";
import { codecContract } from "../contract/codec.ts";
import { STOCK_CODECS } from "../helpers/stock-codec.ts";

codecContract(codec, STOCK_CODECS["centrifuge-json"]);

const one = (frame: string) => {
  const commands = codec.decode(frame);
  expect(commands).toHaveLength(1);
  return commands[0]!;
};

describe("decoding", () => {
  test("refuses a filter of a subscription that begins with the connection", () => {
    const connect = '{"id":1,"connect":{"subs":{"c":{"tf":{"key":"k","cmp":"eq","val":"v"}}}}}';
    expect(one(connect)).toMatchObject({ method: "refused", error: { code: 108 } });
  });

  test("keeps a payload's text", () => {
    expect(one('{"id":3,"publish":{"channel":"c","data":[1.0,1e400]}}')).toMatchObject({
      data: "[1.0,1e400]",
    });
    expect(one('{"id":1,"connect":{"data":{"big":12345678901234567890}}}')).toMatchObject({
      data: '{"big":12345678901234567890}',
    });
    expect(one('{"id":3,"rpc":{"method":"m"}}')).toMatchObject({ rpcMethod: "m", data: "null" });
    expect(one('{"send":{"data":"x"}}')).toEqual({ method: "send", id: 0, data: '"x"' });
  });

  test.each([
    ["not JSON", "hello"],
    ["an array", "[]"],
    ["a number", "7"],
    ["no method", '{"id":1}'],
    ["an unknown method", '{"id":1,"dance":{}}'],
    ["a fractional id", '{"id":1.5,"publish":{}}'],
    ["a negative id", '{"id":-1,"publish":{}}'],
    ["an id beyond 32 bits", '{"id":4294967296,"publish":{}}'],
    ["an id as text", '{"id":"1","publish":{}}'],
    ["a channel that is a number", '{"id":1,"subscribe":{"channel":5}}'],
    ["a method that is an array", '{"id":1,"subscribe":[]}'],
    ["an offset below zero", '{"id":1,"subscribe":{"channel":"c","offset":-1}}'],
    ["an offset beyond 2^53", '{"id":1,"subscribe":{"channel":"c","offset":1e300}}'],
    ["headers that are no texts", '{"id":1,"connect":{"headers":{"a":1}}}'],
    ["nothing", ""],
    ["endless nesting", '{"id":1,"publish":'.padEnd(60_000, "[")],
  ])("refuses %s", (_what, frame) => {
    expect(codec.decode(frame).at(-1)?.method).toBe("malformed");
  });

  test("never throws, and what it refuses is not quoted", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (frame) => {
        const last = codec.decode(frame).at(-1)!;
        if (last.method === "malformed" && frame.length > 20) expect(last.detail).not.toContain(frame);
      }),
    );
    expect(codec.decode(new Uint8Array([123, 125]))[0]?.method).toBe("malformed");
  });

  test("what came before a flaw counts, what comes after is not read", () => {
    const commands = codec.decode('{"id":1,"connect":{}}\nbroken\n{"id":2,"publish":{"channel":"c"}}');
    expect(commands.map((command) => command.method)).toEqual(["connect", "malformed"]);
  });
});

describe("encoding", () => {
  const parse = (frame: string | Uint8Array) => {
    expect(frame).not.toContain("\n");
    return JSON.parse(frame as string) as unknown;
  };

  test("a publication carries what it has, its data untouched", () => {
    const full = codec.publication({
      offset: 7,
      data: "12345678901234567890",
      info: { client: "c", user: "ü\n", connInfo: '{"a":1}' },
      tags: { k: "v" },
      timeMs: 5,
    });
    expect(full).toContain('"data":12345678901234567890');
    expect(parse(codec.publicationPush("chat:ü", full))).toMatchObject({
      push: {
        channel: "chat:ü",
        pub: { offset: 7, info: { user: "ü\n", conn_info: { a: 1 } }, tags: { k: "v" } },
      },
    });
    expect(codec.publication({ offset: 0, data: "1", timeMs: 0 })).toBe('{"data":1}');
    expect(codec.publication({ offset: 0, data: new Uint8Array([1, 2, 255]), timeMs: 0 })).toBe(
      '{"data":"AQL/"}',
    );
  });
});
