import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { checkBody, checkOptions, isHeader, isRefused, readBody } from "../../src/broker/body.ts";
import type { PublishOptions } from "../../src/broker/broker.ts";
import { CommandError, Errors } from "../../src/core/errors.ts";
import { oneLine } from "../../src/core/json-check.ts";
import { MAX_JSON_DEPTH } from "../../src/core/json-text.ts";

const json = { format: "json", maxMessageBytes: 1_000 } as const;
const binary = { format: "binary", maxMessageBytes: 1_000 } as const;
const bytes = (text: string) => new TextEncoder().encode(text);
const read = (text: string | Uint8Array, type?: string, rules: typeof json | typeof binary = json) => {
  const body = readBody(typeof text === "string" ? bytes(text) : text, type, rules);
  return isRefused(body) ? `refused: ${body.flaw}` : body;
};
const errorOf = (call: () => unknown) => {
  try {
    call();
  } catch (error) {
    if (error instanceof CommandError) return error.error;
    throw error;
  }
  return undefined;
};

describe("reading a body", () => {
  test("any JSON text comes back as it was written", () => {
    for (const text of [
      "1",
      "null",
      '""',
      "1.0",
      "12345678901234567890",
      ' {"b":1,"a":2,"b":3} ',
      '"\u2028😀\\u0000"',
    ]) {
      expect(read(text)).toBe(text);
    }
    fc.assert(
      fc.property(fc.json({ maxDepth: 20 }), (text) => {
        fc.pre(bytes(text).length <= 1_000 && !/\\ud[89a-f]/i.test(text));
        expect(read(text)).toBe(text);
      }),
    );
  });

  test("newlines between tokens become spaces, those in strings were never raw", () => {
    expect(read('{\r\n"a"\n:\r"\\n"}')).toBe('{  "a" : "\\n"}');
    expect(oneLine("[\n1]")).toBe("[ 1]");
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom("\n", "\r\n"), (value, newline) => {
        const pretty = JSON.stringify(value, null, 2).replaceAll("\n", newline);
        fc.pre(bytes(pretty).length <= 1_000 && !/\\ud[89a-f]/i.test(pretty));
        const body = read(pretty) as string;
        expect(body).not.toMatch(/[\r\n]/);
        expect(JSON.parse(body)).toEqual(JSON.parse(pretty));
      }),
    );
  });

  test("what is not JSON, not UTF-8 or too long is refused", () => {
    for (const text of ["", " ", "{", "nope", "{'a':1}", "1 2", '"\n"', "NaN", "[1,]"]) {
      expect(read(text)).toBe("refused: not JSON");
    }
    expect(read(new Uint8Array([0x22, 0xff, 0x22]))).toBe("refused: not UTF-8");
    expect(read(new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]))).toBe("refused: not UTF-8");
    expect(read(`"${"x".repeat(998)}"`)).toHaveLength(1_000);
    expect(read(`"${"x".repeat(999)}"`)).toBe("refused: too long");
    expect(read(`"${"é".repeat(499)}"`)).toHaveLength(501);
    expect(read(`"${"é".repeat(500)}"`)).toBe("refused: too long");
  });

  test("nesting is limited, however it is made", () => {
    const nested = (open: string, inner: string, close: string, depth: number) =>
      open.repeat(depth) + inner + close.repeat(depth);
    expect(read(nested("[", "", "]", MAX_JSON_DEPTH))).toBeString();
    expect(read(nested("[", "", "]", MAX_JSON_DEPTH + 1))).toBe("refused: nested too deep");
    expect(read(nested('{"a":', "1", "}", MAX_JSON_DEPTH))).toBeString();
    expect(read(nested('{"a":', "1", "}", MAX_JSON_DEPTH + 1))).toBe("refused: nested too deep");
    expect(read(nested('[{"a":', "1", "}]", MAX_JSON_DEPTH / 2 + 1))).toBe("refused: nested too deep");
    // Brackets in strings, and many beside each other, are not depth.
    expect(read(`"${"[{".repeat(200)}"`)).toBeString();
    expect(read(`["\\"${"[".repeat(300)}","\\\\"]`)).toBeString();
    expect(read(`[${Array(200).fill("[]").join()}]`)).toBeString();
    expect(read(new TextEncoder().encode("[".repeat(1_000)))).toBe("refused: not JSON");
  });

  test("half a surrogate pair is refused, a whole one and an escaped backslash are not", () => {
    for (const text of [
      '"\\ud800"',
      '"\\uDC00"',
      '"\\ud83d\\u0041"',
      '"\\ud83dx\\ude00"',
      '"\\ud83d\\ud83d\\ude00"',
      '{"\\udfff":1}',
    ]) {
      expect(read(text)).toBe("refused: lone surrogate");
    }
    for (const text of [
      '"\\ud83d\\ude00"',
      '"\\uD83D\\uDE00\\ud83d\\ude00"',
      '"\\\\ud800"',
      '"\\\\\\ud83d\\ude00"',
      '"\\ud7ff\\ue000"',
    ]) {
      expect(read(text)).toBe(text);
    }
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("\\ud83d", "\\ude00", "\\\\", "u", "\\n", "ud83d", "\\u0041")),
        (parts) => {
          const text = `"${parts.join("")}"`;
          const whole = (JSON.parse(text) as string).isWellFormed();
          expect(read(text)).toBe(whole ? text : "refused: lone surrogate");
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test("a json namespace looks at the bytes, not at their content type", () => {
    expect(read("[1]", "text/plain")).toBe("[1]");
    expect(read("x", "application/octet-stream")).toBe("refused: not JSON");
  });

  test("a binary namespace takes bytes by their content type, and JSON where it is said or nothing is", () => {
    const raw = new Uint8Array([0, 255, 10]);
    const body = read(raw, "application/octet-stream", binary) as Uint8Array;
    expect(body).toEqual(raw);
    raw.fill(1);
    expect(body).toEqual(new Uint8Array([0, 255, 10]));
    for (const type of [
      undefined,
      "application/json",
      "Application/JSON ; charset=utf-8",
      "application/ld+json",
    ]) {
      expect(read("[1]", type, binary)).toBe("[1]");
      expect(read("x", type, binary)).toBe("refused: not JSON");
    }
    expect(read("[1]", "application/jsonx", binary)).toEqual(bytes("[1]"));
    expect(read(new Uint8Array(1_001), "x/y", binary)).toBe("refused: too long");
    expect(read(new Uint8Array(0), "x/y", binary)).toEqual(new Uint8Array(0));
  });
});

describe("checking a publish", () => {
  test("a body is accepted exactly when the other side would read it", () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string({ unit: "binary" })), (text) => {
        fc.pre(text.isWellFormed());
        const there = read(text);
        if (typeof there === "string" && there.startsWith("refused"))
          expect(() => checkBody(text, json)).toThrow();
        else expect(checkBody(text, json)).toBe(there as string);
      }),
    );
  });

  test("the error says what is wrong", () => {
    expect(errorOf(() => checkBody("{", json))).toEqual(Errors.badRequest);
    expect(errorOf(() => checkBody('"\ud800"', json))).toEqual(Errors.badRequest);
    expect(errorOf(() => checkBody(`"${"é".repeat(500)}"`, json))).toEqual(Errors.limitExceeded);
    expect(errorOf(() => checkBody(new Uint8Array(1_001), binary))).toEqual(Errors.limitExceeded);
    expect(errorOf(() => checkBody(new Uint8Array([255]), json))).toEqual(Errors.badRequest);
    expect(checkBody(bytes("[\n1]"), json)).toBe("[ 1]");
    expect(checkBody(bytes("[1]"), binary)).toEqual(bytes("[1]"));
  });

  test("options that fit into headers pass, others do not", () => {
    checkOptions({});
    checkOptions({
      id: "a".repeat(128),
      event: "e".repeat(200),
      except: "1.2",
      tags: { "a-B_1": "ü 😀", b: "" },
    });
    const tags = Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`t${n}`, ""]));
    const bad: PublishOptions[] = [
      { id: "" },
      { id: "ü" },
      { id: "a b" },
      { id: "a".repeat(129) },
      { event: "" },
      { event: "e".repeat(201) },
      { event: "a\nb" },
      { event: " a" },
      { event: "\ud800" },
      { except: "" },
      { tags: { "": "x" } },
      { tags: { "a b": "x" } },
      { tags: { "a:": "x" } },
      { tags: { ü: "x" } },
      { tags: { a: "x\ny" } },
      { tags: { a: "x\u0085y" } },
      { tags: { a: "x " } },
      { tags: { a: "x".repeat(1_025) } },
      { tags: { ["a".repeat(65)]: "x" } },
      { tags },
    ];
    for (const options of bad) {
      expect(errorOf(() => checkOptions(options))).toEqual(Errors.badRequest);
    }
  });

  test("no header that passes could end its line", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (name, value) => {
        if (isHeader(name, value)) expect(`${name}: ${value}`).not.toMatch(/[\r\n\0]/);
      }),
    );
    expect(isHeader("X", "a\rb")).toBe(false);
    expect(isHeader("X:", "a")).toBe(false);
  });
});
