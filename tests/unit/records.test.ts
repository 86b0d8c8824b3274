import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { z } from "zod";
import { identityOf, publishOf, readPlain, readResult } from "../../src/auth/callout/answers.ts";
import { readIdentity } from "../../src/auth/claims.ts";
import { loadConfig } from "../../src/config.ts";
import { jsonSchema } from "../../src/http/json-schema.ts";
import { methodShapes } from "../../src/http/openapi.ts";
import { records } from "../../src/shapes/records.ts";

/*
 * Names that others choose are names, whatever they are: zod's record leaves `__proto__` out, without a word. That no other
 * place makes one is a rule of tests/architecture.test.ts.
 */

const NAMES = ["__proto__", "[__proto__]", "constructor", "toString", "hasOwnProperty", "", "a"];

describe("a record", () => {
  test("has the members it was given, by any name", () => {
    const name = fc.oneof(
      fc.string(),
      fc.constantFrom(...NAMES, "[__proto__", "__proto__]", "[[__proto__]]"),
    );
    fc.assert(
      fc.property(fc.dictionary(name, fc.integer(), { noNullPrototype: false }), (given) => {
        const json = JSON.stringify(given);
        const read = records(z.int()).parse(JSON.parse(json));
        expect(Object.entries(read).sort()).toEqual(Object.entries(JSON.parse(json)).sort() as never);
        expect(JSON.parse(JSON.stringify(read))).toEqual(JSON.parse(json));
      }),
    );
  });

  test("has none that nobody gave it", () => {
    const read = records(z.unknown()).parse({});
    expect(NAMES.map((name) => [read[name], name in read])).toEqual(NAMES.map(() => [undefined, false]));
  });

  test("checks each member, that of __proto__ too", () => {
    const read = (text: string) => records(z.int(), z.string().max(12)).safeParse(JSON.parse(text));
    expect(read('{"__proto__":{"polluted":true}}').error?.issues[0]?.path).toEqual(["[__proto__]"]);
    expect(
      [read("[]"), read("null"), read('"text"'), read('{"longer than that":1}')].map((one) => one.success),
    ).toEqual([false, false, false, false]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test("is described as an object of its values", () => {
    expect(jsonSchema(records(z.string()).optional().describe("tags"))).toEqual({
      ...{ type: "object", description: "tags" },
      additionalProperties: { type: "string" },
    });
  });
});

describe("names that others choose arrive:", () => {
  const subs = '{"__proto__":{"info":{"a":1}},"constructor":{}}';
  const names = (all: readonly { readonly channel: string }[]) => all.map(({ channel }) => channel).sort();

  test("channels of a token", () => {
    const text = `{"sub":"ann","subs":${subs}}`;
    expect(names(readIdentity(JSON.parse(text), () => text).subscriptions)).toEqual([
      "__proto__",
      "constructor",
    ]);
  });

  test("channels and tags of a service's answer", () => {
    const answer = readResult(`{"result":{"user":"ann","subs":${subs}}}`);
    expect(names(identityOf(answer).subscriptions)).toEqual(["__proto__", "constructor"]);
    const { tags } = publishOf(readPlain('{"tags":{"__proto__":"x","constructor":"y"}}'));
    expect(Object.entries(tags!)).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
  });

  test("tags of messages published over HTTP", () => {
    const shapes = methodShapes();
    for (const method of ["publish", "broadcast"]) {
      const given = '{"channel":"a","channels":["a"],"b64data":"MQ==","tags":{"__proto__":"x"}}';
      const { tags } = shapes.get(method)!.parse(JSON.parse(given)) as { tags: Record<string, string> };
      expect([method, Object.entries(tags)]).toEqual([method, [["__proto__", "x"]]]);
    }
  });

  test("namespaces of the settings; endpoints and headers of such a name are refused", () => {
    const load = (file: string) => loadConfig({ env: {}, file });
    const loaded = load('{"namespaces":{"__proto__":{"publish":"anyone"}}}');
    expect(loaded.problems ?? loaded.config.namespaces.get("__proto__")?.publish).toBe("anyone");
    const url = '"url":"https://a.example"';
    for (const file of [
      `{"callouts":{"endpoints":{"__proto__":{${url}}}}}`,
      `{"callouts":{"endpoints":{"a":{${url},"addHeaders":{"__proto__":"x"}}}}}`,
      '{"rpc":{"callouts":{"__proto__":true}}}',
      `{"webhooks":{"endpoints":[{"name":"a",${url},"secret":"whsec_${"a".repeat(32)}","headers":{"__proto__":"x"}}]}}`,
    ])
      expect([file, load(file).problems?.join()]).toEqual([file, expect.stringContaining("__proto__")]);
  });
});
