import { describe, expect, test } from "bun:test";
import { centrifuge } from "../../src/bench/dialect.ts";
import { centrifugeJson } from "../../src/protocol/centrifuge-json.ts";

const client = { token: "t", epoch: "", offset: 0 };

describe("the load generator's Centrifuge dialect", () => {
  test("sends commands the product's codec understands", () => {
    const hello = centrifuge.hello({ ...client, epoch: "e", offset: 7 }, "bench:load")!;
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
    expect(centrifugeJson.decode(centrifuge.hello(client, "c")!)[1]).toMatchObject({ recover: false });
  });

  test("reads a publication, and leaves out what others publish", () => {
    const mine = '{"push":{"channel":"c","pub":{"offset":9,"data":{"n":3,"dueMs":12.5}}}}';
    const inbox = '{"push":{"channel":"user:1","pub":{"offset":9,"data":"hi"}}}';
    const join = '{"push":{"channel":"c","join":{"info":{"user":"","client":"x"}}}}';
    expect(centrifuge.read([mine, inbox, "{}", join].join("\n"))).toEqual([
      { kind: "message", n: 3, dueMs: 12.5, offset: 9 },
      { kind: "ping" },
    ]);
  });

  test("is in with the answer to its subscribe, not to its connect", () => {
    expect(centrifuge.read('{"id":1,"connect":{"client":"x","version":"1","subs":{"user:1":{}}}}')).toEqual(
      [],
    );
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
      { kind: "refused", reason: "error 109: token expired" },
    ]);
    expect(() => centrifuge.read("<html>")).toThrow(SyntaxError);
  });
});
