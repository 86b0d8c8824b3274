import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { EVENT_KINDS } from "../../../src/events/shapes.ts";
import { signals } from "../../../src/gateway/control.ts";
import { METHODS as API_METHODS } from "../../../src/http/api-methods.ts";
import { pusherApi } from "../../../src/http/pusher/api.ts";
import { Refused } from "./client.ts";
import { arriving, SOUND, TOGETHER, UNSOUND } from "./documents.ts";
import { CODECS, seen } from "./exits.ts";
import { CALLS, EVENTS, WEBHOOKS } from "./pusher-rows.ts";
import {
  CALLOUTS,
  CLAIMS,
  type Closed,
  COMMANDS,
  type Door,
  METHODS,
  RECORDED,
  SIGNALS,
  SUBJECTS,
} from "./rows.ts";
import { servedWorld } from "./served.ts";
import { type DoorWorld, doorWorld } from "./world.ts";

const source = (path: string) => readFileSync(join(import.meta.dir, "../../../src", path), "utf8");
const names = (text: string, pattern: RegExp) => [
  ...new Set([...text.matchAll(pattern)].map(([, name]) => name!)),
];

/** What each family of doors is called in the code: a new one without a row fails. */
const IN_THE_CODE: Readonly<Record<string, readonly string[]>> = {
  commands: [
    ...names(
      /const METHODS[^=]*= \[([\s\S]*?)\n\];/.exec(source("protocol/centrifuge/json-decode.ts"))![1]!,
      /^ {2,4}\[?"(\w+)",/gm,
    ),
    ...names(source("protocol/centrifuge/json-decode.ts"), /value\.(send) == null/g),
  ],
  methods: [...API_METHODS.keys(), "batch", "with the method in the body"],
  signals: Object.keys(signals),
  claims: names(
    /const ConnectionClaims = z\.object\(\{([\s\S]*?)\n\}\)/.exec(source("auth/claims.ts"))![1]!,
    /^ {2}(\w+): (?:z\.unknown|Base64Json|Subs)/gm,
  ),
  callouts: names(
    /export interface Callouts \{([\s\S]*?)\n\}/.exec(source("auth/auth.ts"))![1]!,
    /^ {2}(\w+)\(/gm,
  ),
  calls: pusherApi({} as never).routes.map(({ method, path }) => `${method} ${path}`),
  events: names(source("pusher/dispatch.ts"), /(?:case |startsWith\()"([\w:-]+)"/g),
  subjects: ["rt.<namespace>.<name>"],
  recorded: EVENT_KINDS,
  webhooks: names(source("pusher/webhook-events.ts"), /#(?:put|member)\("(\w+)"/g),
};
const ROWS: Readonly<Record<string, Readonly<Record<string, Door | Closed>>>> = {
  ...{ commands: COMMANDS, methods: METHODS, signals: SIGNALS, claims: CLAIMS, callouts: CALLOUTS },
  ...{ calls: CALLS, events: EVENTS, subjects: SUBJECTS, recorded: RECORDED, webhooks: WEBHOOKS },
};

const WORLDS = {
  memory: () => doorWorld("memory"),
  servers: () => doorWorld("servers"),
  "Deno, Redis over REST": () => servedWorld("deno"),
};

/** Sends every document through every door of a world, and compares at every exit. */
export function doorTests(drivers: keyof typeof WORLDS): void {
  const inProcess = drivers === "memory" || drivers === "servers";
  const { sound, unsound } = inProcess ? { sound: SOUND, unsound: UNSOUND } : TOGETHER;
  test.each(Object.keys(ROWS))("every door has a row: %s", (family) => {
    expect(Object.keys(ROWS[family]!).sort()).toEqual([...IN_THE_CODE[family]!].sort());
  });

  describe(`what comes in is what goes out (${drivers})`, () => {
    let world: DoorWorld;
    let checked = 0;
    beforeAll(async () => {
      world = await WORLDS[drivers]();
    }, 60_000);
    afterEach(() => world.endClients());
    afterAll(async () => {
      await world?.[Symbol.asyncDispose]();
      console.log(`doors (${drivers}): ${checked} texts compared at their exits`);
    });

    const doors = Object.entries(ROWS).flatMap(([family, rows]) =>
      Object.entries(rows).flatMap(([name, door]) =>
        typeof door === "function" ? [[family, name, door] as const] : [],
      ),
    );
    describe.each(doors)("%s: %s", (family, _name, door) => {
      const codecs = ["methods", "calls", "events", "subjects"].includes(family)
        ? CODECS.slice(0, 1)
        : CODECS;
      describe.each(codecs)("%s", (codec) => {
        test.each(Object.entries(sound))("%s", async (_what, document) => {
          const exits = await door(world, document, codec);
          const wanted = Object.fromEntries(Object.keys(exits).map((exit) => [exit, arriving(document)]));
          expect(onOneLine(exits)).toEqual(wanted);
          expect(Object.keys(exits).length).toBeGreaterThan(0);
          checked += Object.keys(exits).length;
        });

        test.each(Object.entries(unsound))("%s: refused, or as it is", async (_what, document) => {
          const exits = await door(world, document, codec).catch((error: unknown) => {
            if (error instanceof Refused) return {};
            throw error;
          });
          for (const text of Object.values(exits)) expect(text).toBe(document);
          checked++;
        });
      });
    });

    test("messages came out as differences too, and webhooks signed", () => {
      expect(seen.deltas).toBeGreaterThan(10);
      expect(world.webhooks.forged).toBe(0);
    });
  });
}

/** Some doors take a text within a text, where line ends may stay. */
function onOneLine(exits: Readonly<Record<string, string | undefined>>) {
  return Object.fromEntries(Object.entries(exits).map(([exit, text]) => [exit, text && arriving(text)]));
}
