import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Errors } from "../../src/core/errors.ts";
import { centrifugeJson as codec } from "../../src/protocol/centrifuge-json.ts";
import { codecContract } from "../contract/codec.ts";
import { STOCK_CODECS } from "../helpers/stock-codec.ts";

codecContract(codec, STOCK_CODECS["centrifuge-json"]);

const one = (frame: string) => {
  const commands = codec.decode(frame);
  expect(commands).toHaveLength(1);
  return commands[0]!;
};

describe("decoding", () => {
  test("reads connect with positions of server-side subscriptions", () => {
    const frame =
      '{"id":1,"connect":{"token":"t","data":{"big":12345678901234567890},"name":"js","headers":{"k":"v"},' +
      '"subs":{"user:1":{"recover":true,"offset":5,"epoch":"x"}}}}';
    expect(one(frame)).toEqual({
      method: "connect",
      id: 1,
      token: "t",
      data: '{"big":12345678901234567890}',
      name: "js",
      version: "",
      headers: { k: "v" },
      subs: new Map([["user:1", { recover: true, offset: 5, epoch: "x" }]]),
    });
  });

  test("reads subscribe, with absent fields at their zero", () => {
    expect(one('{"id":2,"subscribe":{"channel":"chat:1","flag":3}}')).toMatchObject({
      method: "subscribe",
      channel: "chat:1",
      token: "",
      recover: false,
      offset: 0,
      epoch: "",
      rejectUnrecovered: true,
      joinLeave: false,
      type: 0,
    });
    expect(one('{"id":2,"subscribe":{"channel":"chat:1","flag":1}}')).toMatchObject({
      rejectUnrecovered: false,
    });
  });

  test("keeps a payload's text", () => {
    expect(one('{"id":3,"publish":{"channel":"c","data":[1.0,1e400]}}')).toMatchObject({
      data: "[1.0,1e400]",
    });
    expect(one('{"id":3,"rpc":{"method":"m"}}')).toMatchObject({ rpcMethod: "m", data: "null" });
    expect(one('{"send":{"data":"x"}}')).toEqual({ method: "send", id: 0, data: '"x"' });
  });

  test("takes the first method, pongs, and several commands in a frame", () => {
    expect(one('{"id":1,"publish":{"channel":"p"},"subscribe":{"channel":"s"}}').method).toBe("subscribe");
    expect(one("{}").method).toBe("pong");
    expect(one('{"ping":{}}').method).toBe("pong");
    expect(one('{"id":9,"ping":{}}')).toEqual({ method: "refused", id: 9, error: Errors.notAvailable });
    const frame = '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"c"}}\n';
    expect(codec.decode(frame).map((command) => command.method)).toEqual(["connect", "subscribe"]);
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

  test("errors say whether they pass", () => {
    expect(parse(codec.error(4, Errors.internal))).toEqual({
      id: 4,
      error: { code: 100, message: "internal server error", temporary: true },
    });
    expect(parse(codec.error(4, Errors.permissionDenied))).toEqual({
      id: 4,
      error: { code: 103, message: "permission denied" },
    });
  });

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

  test("subscribe answers leave zero values out", () => {
    const none = {
      recoverable: false,
      positioned: false,
      position: { epoch: "e", offset: 3 },
      wasRecovering: false,
      recovered: false,
      publications: [],
    };
    expect(parse(codec.subscribe(1, none))).toEqual({ id: 1, subscribe: {} });
    const all = {
      ...none,
      recoverable: true,
      positioned: true,
      wasRecovering: true,
      recovered: true,
      publications: ['{"offset":4,"data":1}'],
      ttl: 60,
      data: '{"x":1}',
    };
    expect(parse(codec.subscribe(1, all))).toEqual({
      id: 1,
      subscribe: {
        recoverable: true,
        positioned: true,
        epoch: "e",
        offset: 3,
        was_recovering: true,
        recovered: true,
        publications: [{ offset: 4, data: 1 }],
        expires: true,
        ttl: 60,
        data: { x: 1 },
      },
    });
  });

  test("sub_refresh without expiry is an empty object", () => {
    expect(codec.subRefresh(3, undefined)).toBe('{"id":3,"sub_refresh":{}}');
    expect(parse(codec.subRefresh(3, 9))).toEqual({ id: 3, sub_refresh: { expires: true, ttl: 9 } });
  });
});
