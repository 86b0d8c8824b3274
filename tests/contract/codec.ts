import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Errors } from "../../src/core/errors.ts";
import type { ClientInfo } from "../../src/core/publication.ts";
import type { CentrifugeCodec, SubscribeResult } from "../../src/protocol/centrifuge/replies.ts";
import type { Frame } from "../../src/protocol/codec.ts";
import type { Plain, StockCodec } from "../helpers/stock-codec.ts";

/** What every encoding of the Centrifuge protocol must do; the stock client writes the commands and reads the replies. */
export function codecContract(codec: CentrifugeCodec, stock: StockCodec): void {
  const one = (command: Plain) => {
    const commands = codec.decode(stock.commands(command));
    expect(commands).toHaveLength(1);
    return commands[0]!;
  };
  const reply = (frame: Frame) => {
    const replies = stock.replies(frame);
    expect(replies).toHaveLength(1);
    return replies[0]!;
  };
  /** A connect and a publish, as SDKs of years ago wrote them. */
  const firstVersion: Frame[] = codec.name.endsWith("json")
    ? ['{"id":1,"params":{"token":"t"}}', '{"id":2,"method":3,"params":{"channel":"c","data":{}}}']
    : [new Uint8Array([5, 0x08, 1, 0x1a, 1, 0x74]), new Uint8Array([7, 0x08, 2, 0x10, 3, 0x1a, 1, 0x63])];
  const NOWHERE = { recover: false, offset: 0, epoch: "" };

  describe(`${codec.name} reads`, () => {
    test("connect, with positions of server-side subscriptions and headers", () => {
      const subs = { "user:1": { recover: true, offset: 2 ** 40 + 5, epoch: "x" }, "user:ü": {} };
      const connect = { token: "t", data: { a: [1] }, name: "js", version: "1", headers: { k: "v" }, subs };
      expect(one({ id: 1, connect })).toEqual({
        method: "connect",
        id: 1,
        token: "t",
        data: '{"a":[1]}',
        name: "js",
        version: "1",
        headers: { k: "v" },
        subs: new Map([
          ["user:1", { recover: true, offset: 2 ** 40 + 5, epoch: "x" }],
          ["user:ü", NOWHERE],
        ]),
      });
      expect(one({ id: 1, connect: {} })).toEqual({
        method: "connect",
        id: 1,
        token: "",
        data: undefined,
        name: "",
        version: "",
        headers: {},
        subs: new Map(),
      });
    });

    test("subscribe, with absent fields at their zero", () => {
      expect(one({ id: 2, subscribe: { channel: "chat:größe", flag: 3 } })).toEqual({
        method: "subscribe",
        id: 2,
        channel: "chat:größe",
        token: "",
        data: undefined,
        positioned: false,
        recoverable: false,
        joinLeave: false,
        delta: false,
        rejectUnrecovered: true,
        type: 0,
        ...NOWHERE,
      });
      const all = {
        channel: "c",
        token: "t",
        data: 1,
        positioned: true,
        recoverable: true,
        join_leave: true,
        flag: 1,
        type: 1,
        recover: true,
        offset: 7,
        epoch: "e",
        delta: "fossil",
      };
      expect(one({ id: 2, subscribe: all })).toEqual({
        method: "subscribe",
        id: 2,
        channel: "c",
        token: "t",
        data: "1",
        positioned: true,
        recoverable: true,
        joinLeave: true,
        delta: true,
        rejectUnrecovered: false,
        type: 1,
        recover: true,
        offset: 7,
        epoch: "e",
      });
    });

    test("every other command", () => {
      const channel = "c";
      expect(one({ id: 4, unsubscribe: { channel } })).toEqual({ method: "unsubscribe", id: 4, channel });
      expect(one({ id: 4, presence: { channel } })).toEqual({ method: "presence", id: 4, channel });
      expect(one({ id: 4, presence_stats: { channel } })).toEqual({
        method: "presenceStats",
        id: 4,
        channel,
      });
      expect(
        one({ id: 5, history: { channel, limit: -1, since: { offset: 3, epoch: "e" }, reverse: true } }),
      ).toEqual({
        method: "history",
        id: 5,
        channel,
        limit: -1,
        since: { offset: 3, epoch: "e" },
        reverse: true,
      });
      expect(one({ id: 5, history: { channel } })).toEqual({
        method: "history",
        id: 5,
        channel,
        limit: 0,
        since: undefined,
        reverse: false,
      });
      expect(one({ id: 6, rpc: { method: "m", data: [1] } })).toEqual({
        method: "rpc",
        id: 6,
        rpcMethod: "m",
        data: "[1]",
      });
      expect(one({ id: 6, rpc: { method: "m" } })).toMatchObject({ data: "null" });
      expect(one({ send: { data: "x" } })).toEqual({ method: "send", id: 0, data: '"x"' });
      expect(one({ id: 7, refresh: { token: "t" } })).toEqual({ method: "refresh", id: 7, token: "t" });
      expect(one({ id: 8, sub_refresh: { channel, token: "t" } })).toEqual({
        method: "subRefresh",
        id: 8,
        channel,
        token: "t",
      });
    });

    test("names and versions of any length, cut to what a person would read", () => {
      const long = { name: "my-shop-android-app", version: "v".repeat(1_000) };
      expect(one({ id: 1, connect: long })).toMatchObject({ name: long.name, version: "v".repeat(255) });
      const emoji = one({ id: 1, connect: { name: "🎉".repeat(200) } }) as { name: string };
      expect(emoji.name.isWellFormed()).toBe(true);
    });

    test("frames of the protocol's first version as such", () => {
      const detail = "protocol v1, and v2 is spoken here: update the SDK";
      for (const frame of firstVersion)
        expect(codec.decode(frame)).toEqual([{ method: "malformed", detail }]);
    });

    // Each of them changes what is delivered: to pass it over would be to do something else.
    test.each([
      ["a filter by tags", { subscribe: { channel: "c", tf: { op: "", key: "k", cmp: "eq", val: "v" } } }],
      ["a publish into a map", { publish: { channel: "c", type: 1, key: "a", data: 1 } }],
      ["a publish that removes a key", { publish: { channel: "c", key: "a", removed: true } }],
      ["a wish to follow keys", { sub_refresh: { channel: "c", type: 1, track: [{ items: [] }] } }],
      ["a wish to follow keys no more", { sub_refresh: { channel: "c", type: 2, untrack: ["a"] } }],
    ])("%s as something that is not served", (_what, command) => {
      const refused = { method: "refused", id: 9, error: Errors.notAvailable };
      const [what] = Object.keys(command);
      const about = { channel: "c", what: what === "sub_refresh" ? "subRefresh" : what };
      expect(one({ id: 9, ...command })).toMatchObject({ ...refused, about } as object);
    });

    test("what is published as it was written", () => {
      const command = one({ id: 3, publish: { channel: "c", data: { text: "ü" } } });
      expect(command).toMatchObject({ method: "publish", id: 3, channel: "c" });
      const { data } = command as { data: Frame };
      expect(typeof data === "string" ? data : new TextDecoder().decode(data)).toBe('{"text":"ü"}');
    });

    test("the first method of several, pongs, and what is known but not served", () => {
      expect(one({ id: 1, publish: { channel: "p" }, subscribe: { channel: "s" } }).method).toBe("subscribe");
      expect(one({})).toEqual({ method: "pong", id: 0 });
      expect(one({ ping: {} }).method).toBe("pong");
      expect(one({ id: 9, ping: {} })).toEqual({ method: "refused", id: 9, error: Errors.notAvailable });
    });

    test("several commands in a frame, in order, but not too many", () => {
      const frame = stock.commands({ id: 1, connect: {} }, {}, { id: 2, subscribe: { channel: "c" } });
      expect(codec.decode(frame).map(({ method }) => method)).toEqual(["connect", "pong", "subscribe"]);
      const many = codec.decode(stock.commands(...Array.from({ length: 2_000 }, () => ({}))));
      expect([many.length, many.at(-1)?.method]).toEqual([1025, "malformed"]);
    });

    test.each([
      ["no method", { id: 1 }],
      ["an offset beyond 2^53", { id: 1, subscribe: { channel: "c", offset: 2 ** 60 } }],
    ])("no %s", (_what, command) => {
      expect(one(command).method).toBe("malformed");
    });

    test("nothing where frames are none, without throwing or quoting", () => {
      fc.assert(
        fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.uint8Array({ maxLength: 64 })), (frame) => {
          const last = codec.decode(frame).at(-1)!;
          if (last.method === "malformed") expect(last.detail.length).toBeLessThan(50);
        }),
        { numRuns: 1_000 },
      );
      expect(codec.decode("").at(-1)?.method).toBe("malformed");
      expect(codec.decode(new Uint8Array()).at(-1)?.method).toBe("malformed");
      const other = typeof codec.ping === "string" ? new Uint8Array([123, 125]) : "{}";
      expect(codec.decode(other)).toMatchObject([{ method: "malformed" }]);
    });
  });

  describe(`${codec.name} writes`, () => {
    const info: ClientInfo = { client: "c1", user: "ü\n", connInfo: '{"a":1}', chanInfo: "[2]" };
    const wireInfo = { client: "c1", user: "ü\n", conn_info: { a: 1 }, chan_info: [2] };
    const publication = {
      offset: 2 ** 40,
      data: '{"n":1}',
      info,
      tags: { k: "v", l: "ö" },
      timeMs: 5_000_000_000,
    };
    const wirePublication = {
      offset: 2 ** 40,
      data: { n: 1 },
      info: wireInfo,
      tags: { k: "v", l: "ö" },
      time: 5_000_000_000,
    };
    const none: SubscribeResult = {
      recoverable: false,
      positioned: false,
      position: { epoch: "e", offset: 3 },
      wasRecovering: false,
      recovered: false,
      publications: [],
    };

    test("errors, and whether they pass", () => {
      expect(reply(codec.error(4, Errors.internal))).toEqual({
        id: 4,
        error: { code: 100, message: "internal server error", temporary: true },
      });
      expect(reply(codec.error(4, Errors.permissionDenied))).toEqual({
        id: 4,
        error: { code: 103, message: "permission denied" },
      });
    });

    test("publications with what they have, in pushes, recoveries and history", () => {
      const encoded = codec.publication(publication);
      expect(reply(codec.publicationPush("chat:ü", encoded))).toEqual({
        push: { channel: "chat:ü", pub: wirePublication },
      });
      const small = codec.publication({ offset: 0, data: "1", timeMs: 0 });
      expect(reply(codec.publicationPush("c", small))).toEqual({ push: { channel: "c", pub: { data: 1 } } });
      expect(reply(codec.subscribe(1, { ...none, publications: [encoded, small] }))).toEqual({
        id: 1,
        subscribe: { publications: [wirePublication, { data: 1 }] },
      });
      const big = { offset: 1, data: JSON.stringify("x".repeat(70_000)), timeMs: 0 };
      expect(reply(codec.history(2, [publication, big], { epoch: "e", offset: 9 }))).toEqual({
        id: 2,
        history: {
          publications: [wirePublication, { offset: 1, data: "x".repeat(70_000) }],
          epoch: "e",
          offset: 9,
        },
      });
    });

    test("subscribe answers without zero values, and with everything", () => {
      expect(reply(codec.subscribe(1, none))).toEqual({ id: 1, subscribe: {} });
      const all: SubscribeResult = {
        ...none,
        recoverable: true,
        positioned: true,
        wasRecovering: true,
        recovered: true,
        delta: true,
        ttl: 60,
        data: '{"x":1}',
      };
      const wire = {
        recoverable: true,
        positioned: true,
        epoch: "e",
        offset: 3,
        was_recovering: true,
        recovered: true,
        delta: true,
        expires: true,
        ttl: 60,
        data: { x: 1 },
      };
      expect(reply(codec.subscribe(1, all))).toEqual({ id: 1, subscribe: wire });
      const connect = {
        client: "id",
        version: "1.2.3",
        data: "{}",
        ping: 25,
        pong: true,
        ttl: 3600,
        subs: new Map([
          ["user:1", all],
          ["", none],
        ]),
        node: "n",
        timeMs: 1_795_233_804_684,
      };
      expect(reply(codec.connect(7, connect))).toEqual({
        id: 7,
        connect: {
          client: "id",
          version: "1.2.3",
          data: {},
          ping: 25,
          pong: true,
          expires: true,
          ttl: 3600,
          subs: { "user:1": wire, "": {} },
          node: "n",
          time: 1_795_233_804_684,
        },
      });
    });

    test("every other answer", () => {
      expect(reply(codec.empty(1, "unsubscribe"))).toEqual({ id: 1, unsubscribe: {} });
      expect(reply(codec.empty(1, "publish"))).toEqual({ id: 1, publish: {} });
      expect(reply(codec.presence(2, codec.members([info, { client: "c2", user: "" }])))).toMatchObject({
        id: 2,
        presence: { presence: { c1: wireInfo, c2: { client: "c2" } } },
      });
      expect(reply(codec.presenceStats(3, 2, 1))).toEqual({
        id: 3,
        presence_stats: { num_clients: 2, num_users: 1 },
      });
      expect(reply(codec.rpc(4, '{"a":[]}'))).toEqual({ id: 4, rpc: { data: { a: [] } } });
      expect(reply(codec.refresh(5, "c", "1", 9))).toEqual({
        id: 5,
        refresh: { client: "c", version: "1", expires: true, ttl: 9 },
      });
      expect(reply(codec.subRefresh(6, undefined))).toEqual({ id: 6, sub_refresh: {} });
      expect(reply(codec.subRefresh(6, 9))).toEqual({ id: 6, sub_refresh: { expires: true, ttl: 9 } });
    });

    test("every other push, and ping", () => {
      const channel = "chat:1";
      expect(reply(codec.memberPush(channel, "join", info))).toEqual({
        push: { channel, join: { info: wireInfo } },
      });
      expect(reply(codec.memberPush(channel, "leave", info))).toEqual({
        push: { channel, leave: { info: wireInfo } },
      });
      expect(reply(codec.unsubscribePush(channel, 2500, "why"))).toEqual({
        push: { channel, unsubscribe: { code: 2500, reason: "why" } },
      });
      const result = { ...none, recoverable: true, positioned: true, data: "1" };
      expect(reply(codec.subscribePush(channel, result))).toEqual({
        push: { channel, subscribe: { recoverable: true, positioned: true, epoch: "e", offset: 3, data: 1 } },
      });
      expect(reply(codec.refreshPush(9))).toEqual({ push: { refresh: { expires: true, ttl: 9 } } });
      expect(reply(codec.disconnectPush(3001, "shutdown"))).toEqual({
        push: { disconnect: { code: 3001, reason: "shutdown" } },
      });
      expect(reply(codec.ping)).toEqual({});
    });

    test("frames that can stand one behind the other in a stream", () => {
      const frames = [codec.ping, codec.rpc(4, "1"), codec.ping].map((frame) => codec.streamed(frame));
      const stream =
        typeof codec.ping === "string"
          ? frames.join("")
          : new Uint8Array(Buffer.concat(frames as Uint8Array[]));
      expect(stock.replies(stream)).toEqual([{}, { id: 4, rpc: { data: 1 } }, {}]);
    });
  });
}
