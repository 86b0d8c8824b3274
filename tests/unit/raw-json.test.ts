import { expect, test } from "bun:test";
import fc from "fast-check";
import { idOf, isDeeper, rawItems, rawMember } from "../../src/core/json-text.ts";

test("gives a member's text exactly as it was written", () => {
  const text =
    '{"id":1, "publish" : {"channel":"a\\"b","data": {"n":12345678901234567890,"x":1.0 ,"s":"}\\\\"} }}';
  expect(rawMember(text, "publish", "data")).toBe('{"n":12345678901234567890,"x":1.0 ,"s":"}\\\\"}');
  expect(rawMember(text, "publish", "channel")).toBe('"a\\"b"');
  expect(rawMember(text, "publish", "nothing")).toBeUndefined();
  expect(rawMember(text, "id", "data")).toBeUndefined();
  expect(rawMember("[1]", "id")).toBeUndefined();
  expect(rawMember("{}", "id")).toBeUndefined();
});

test("of a repeated key the last counts, and escaped keys are read", () => {
  expect(rawMember('{"a":1,"a":[2,{"a":3}]}', "a")).toBe('[2,{"a":3}]');
  expect(rawMember('{"d\\u0061ta":true}', "data")).toBe("true");
});

test("agrees with JSON.parse on every object", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(2), (object, indent) => {
      const text = JSON.stringify(object, null, indent);
      const parsed = JSON.parse(text) as Record<string, unknown>;
      for (const key of Object.keys(parsed)) {
        expect(JSON.parse(rawMember(text, key) ?? "missing")).toEqual(parsed[key]);
      }
    }),
  );
});

test("depth is counted outside strings, and of texts that are no JSON", () => {
  const deep = (levels: number) => `${"[".repeat(levels)}"]]\\"[[["${"]".repeat(levels)}`;
  expect([isDeeper(deep(10), 10), isDeeper(deep(11), 10)]).toEqual([false, true]);
  expect([isDeeper('{"a":'.repeat(11), 10), isDeeper(`"${"[".repeat(50)}`, 10)]).toEqual([true, false]);
  expect(isDeeper("[1],".repeat(50), 1)).toBe(false);
});

test("gives an array's items as they were written", () => {
  expect(rawItems('[ 1.0 , "a,]", {"b":[2]} ,[3]\n]')).toEqual(["1.0", '"a,]"', '{"b":[2]}', "[3]"]);
  expect([rawItems("[]"), rawItems("[ ]")]).toEqual([[], []]);
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), fc.nat(2), (items, indent) => {
      expect(rawItems(JSON.stringify(items, null, indent)).map((text) => JSON.parse(text))).toEqual(
        JSON.parse(JSON.stringify(items)),
      );
    }),
  );
});

test("an id is a string's content, or a whole number's digits", () => {
  expect(idOf('"a\\u0062"')).toBe("ab");
  for (const digits of ["0", "7", "-7", "9007199254740993", "12345678901234567890123"]) {
    expect(idOf(digits)).toBe(digits);
  }
  for (const none of ["1.0", "1e3", "-0", "true", "null", "{}", "[]", undefined]) {
    expect(idOf(none)).toBeUndefined();
  }
});
