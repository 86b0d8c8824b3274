import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { z } from "zod";
import { METHODS } from "../../src/http/api-methods.ts";
import { NOT_SERVED } from "../../src/http/api-shapes.ts";
import { CENTRIFUGE_CODECS } from "../../src/protocol/centrifuge/codecs.ts";
import { type Plain, STOCK_CODECS } from "../helpers/stock-codec.ts";

const page = readFileSync(join(import.meta.dir, "../../docs/fields.md"), "utf8");

/** Rows of the table under a heading: request, member, what becomes of it. */
function rows(heading: string): [string, string, string][] {
  const section = page.split(`\n## ${heading}\n`)[1]!.split("\n## ")[0]!;
  return [...section.matchAll(/^\| `(\w+)` *\| `(\w+)` *\| (.*?) *\|$/gm)].map(([, ...cells]) => [
    ...(cells as [string, string, string]),
  ]);
}
const named = (all: readonly (readonly string[])[]) =>
  all.map(([request, member]) => `${request} ${member}`).sort();

/** Requests of the protocol's schema by their messages, as the stock client's own module has them. */
const REQUESTS: Readonly<Record<string, string>> = {
  ...{ ConnectRequest: "connect", SubscribeRequest: "subscribe", UnsubscribeRequest: "unsubscribe" },
  ...{ PublishRequest: "publish", PresenceRequest: "presence", PresenceStatsRequest: "presence_stats" },
  ...{ HistoryRequest: "history", SendRequest: "send", RPCRequest: "rpc", RefreshRequest: "refresh" },
  ...{ SubRefreshRequest: "sub_refresh" },
};

function schema(): string[][] {
  const file = createRequire(import.meta.url).resolve("centrifuge/build/protobuf");
  const source = readFileSync(file, "utf8");
  const members = [...source.matchAll(/\b(\w+Request)\.prototype\.(\w+) =/g)];
  return members.flatMap(([, message, member]) =>
    message === "EmulationRequest" ? [] : [[REQUESTS[message!] ?? message!, member!]],
  );
}

test("every member of the protocol's schema stands in the table, once", () => {
  expect(schema().length).toBeGreaterThan(40);
  expect(named(rows("Client protocol"))).toEqual(named(schema()));
});

test("every member of the server API stands in the table, once", () => {
  const honoured = [...METHODS].flatMap(([name, { params }]) =>
    Object.keys((params as z.ZodObject).shape).map((member) => [name, member]),
  );
  const refused = Object.entries(NOT_SERVED).flatMap(([name, members]) =>
    Object.keys(members).map((member) => [name, member]),
  );
  const table = rows("Server API").filter(([name]) => name !== "batch");
  expect(named(table.filter(([, , what]) => what.startsWith("honoured")))).toEqual(named(honoured));
  expect(named(table.filter(([, , what]) => what.startsWith("refused with 108")))).toEqual(named(refused));
});

/** Something that asks for a member which is refused. */
const ASKED: Readonly<Record<string, unknown>> = {
  ...{ tf: { op: "", key: "k", cmp: "eq", val: "v" }, type: 1, key: "k", removed: true },
  ...{ track: [{ items: [] }], untrack: ["a"] },
};

test.each(rows("Client protocol").filter(([, , what]) => what.startsWith("refused")))(
  "%s with %s is %s",
  (request, member, what) => {
    const command: Plain = { id: 1, [request]: { channel: "c", [member]: ASKED[member] } };
    const code = Number(/refused with (\d+)/.exec(what)![1]);
    for (const name of Object.keys(CENTRIFUGE_CODECS) as (keyof typeof CENTRIFUGE_CODECS)[]) {
      const [read] = CENTRIFUGE_CODECS[name].decode(STOCK_CODECS[name].commands(command));
      // What asks for another kind of subscription is refused when it is carried out.
      if (request === "subscribe" && member === "type") expect(read).toMatchObject({ type: 1 });
      else expect(read).toMatchObject({ method: "refused", error: { code } });
    }
  },
);

test("every row says one of three things", () => {
  for (const heading of ["Client protocol", "Server API", "HTTP API of the Pusher protocol"]) {
    for (const [, , what] of rows(heading))
      expect(what).toMatch(/^(honoured|refused with \d+|passed over): ?|^honoured/);
  }
});
