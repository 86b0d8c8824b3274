import { describe, expect, test } from "bun:test";
import { bare, centrifuge } from "../../src/bench/load/client/dialect.ts";
import { socketio } from "../../src/bench/load/client/dialect-socketio.ts";
import { centrifugeJson } from "../../src/protocol/centrifuge/json.ts";

const client = { token: "t", epoch: "", offset: 0 };
const back = { ...client, epoch: "e", offset: 7 };
const place = { listens: "bench:load", unasked: false, publishes: "" };
const inbox = { listens: "user:1", unasked: true, publishes: "" };

describe("the load generator's Centrifuge dialect", () => {
  test("sends commands the product's codec understands", () => {
    const hello = centrifuge.hello(back, place)!;
    expect(centrifugeJson.decode(hello)).toMatchObject([
      { method: "connect", id: 1, token: "t" },
      {
        method: "subscribe",
        id: 2,
        channel: "bench:load",
        recover: true,
        epoch: "e",
        offset: 7,
      },
    ]);
    expect(centrifugeJson.decode(centrifuge.hello(client, place)!)[1]).toMatchObject({ recover: false });
    expect(centrifugeJson.decode(centrifuge.publish(9, "c", { n: 1, dueMs: 2 }))).toMatchObject([
      { method: "publish", id: 9, channel: "c", data: '{"n":1,"dueMs":2}' },
    ]);
  });

  test("asks for no subscription where the server makes it, but goes on where it was", () => {
    expect(centrifugeJson.decode(centrifuge.hello(client, inbox)!)).toMatchObject([{ method: "connect" }]);
    const [connect, ...others] = centrifugeJson.decode(centrifuge.hello(back, inbox)!);
    expect(others).toEqual([]);
    expect(connect).toMatchObject({
      subs: new Map([["user:1", { recover: true, epoch: "e", offset: 7 }]]),
    });
  });

  test("reads a publication, and leaves out what others publish", () => {
    const mine = '{"push":{"channel":"c","pub":{"offset":9,"data":{"n":3,"dueMs":12.5}}}}';
    const inbox = '{"push":{"channel":"user:1","pub":{"offset":9,"data":"hi"}}}';
    const join = '{"push":{"channel":"c","join":{"info":{"user":"","client":"x"}}}}';
    expect(centrifuge.read([mine, inbox, "{}", join].join("\n"))).toEqual([
      { kind: "message", n: 3, dueMs: 12.5, offset: 9, from: undefined, warm: undefined },
      { kind: "ping" },
    ]);
  });

  test("is in with the answer to its subscribe; what the server has subscribed it to comes with the other", () => {
    const text =
      '{"id":1,"connect":{"client":"x","version":"1","subs":{"user:1":{"recoverable":true,"epoch":"e","offset":2}}}}';
    const sub = { epoch: "e", offset: 2, recovered: undefined, replayed: [] };
    expect(centrifuge.read(text)).toEqual([{ kind: "connected", subs: new Map([["user:1", sub]]) }]);
    expect(centrifuge.read('{"id":2,"subscribe":{"recoverable":true,"epoch":"e","offset":4}}')).toEqual([
      { kind: "joined", epoch: "e", offset: 4, recovered: undefined, replayed: [] },
    ]);
  });

  test("tells a recovery that worked from one that did not", () => {
    const pub = '{"offset":5,"data":{"n":2,"dueMs":1}}';
    expect(
      centrifuge.read(
        `{"id":2,"subscribe":{"was_recovering":true,"recovered":true,"offset":4,"publications":[${pub}]}}`,
      ),
    ).toMatchObject([{ recovered: true, replayed: [{ n: 2, offset: 5 }] }]);
    expect(centrifuge.read('{"id":2,"subscribe":{"was_recovering":true,"offset":4}}')).toMatchObject([
      { recovered: false, replayed: [] },
    ]);
  });

  test("reads refusals, and throws at what is no JSON", () => {
    expect(centrifuge.read('{"id":1,"error":{"code":109,"message":"token expired"}}')).toEqual([
      { kind: "refused", id: 1, reason: "error 109: token expired" },
    ]);
    expect(centrifuge.read('{"id":9,"publish":{}}')).toEqual([{ kind: "done", id: 9 }]);
    expect(() => centrifuge.read("<html>")).toThrow(SyntaxError);
  });
});

test("controls are told the channel by the upgrade", () => {
  expect(bare.path({ ...place, listens: "a b&c" })).toBe("/connection/websocket?channel=a%20b%26c");
  expect(bare.path({ ...place, listens: "" })).toBe("/connection/websocket");
});

describe("the load generator's Socket.IO dialect", () => {
  test("speaks the packets of the protocol", () => {
    expect(socketio.hello(client, place)).toBe('40{"channel":"bench:load"}');
    expect(socketio.publish(12, "c", { n: 1, dueMs: 2 })).toBe('4212["publish","c",{"n":1,"dueMs":2}]');
    expect(socketio.read('0{"sid":"x","pingInterval":25000}')).toEqual([]);
    expect(socketio.read('40{"sid":"x"}')).toMatchObject([{ kind: "joined" }]);
    expect(socketio.read("2")).toEqual([{ kind: "ping" }]);
    expect(socketio.read("4312[]")).toEqual([{ kind: "done", id: 12 }]);
    expect(socketio.read('44{"message":"no"}')).toMatchObject([{ kind: "refused" }]);
    expect(() => socketio.read("<html>")).toThrow(SyntaxError);
  });

  test("reads messages, and passes over other events", () => {
    const text = '42["message",{"channel":"c","offset":5,"data":{"n":3,"dueMs":1,"from":7}}]';
    expect(socketio.read(text)).toMatchObject([{ kind: "message", n: 3, from: 7, offset: 5 }]);
    expect(socketio.read('42["hello",{"data":{"n":3,"dueMs":1}}]')).toEqual([]);
  });
});
