import { expect, test } from "bun:test";
import { checkBody } from "../../src/broker/body.ts";
import { bodyOf, dataOf } from "../../src/protocol/pusher/data.ts";

const RULES = { format: "json", maxMessageBytes: 10_000 } as const;

test.each([
  ...[
    "",
    "hello",
    "  ",
    "{",
    "ü 🙂",
    '"quoted"',
    ' "spaced" ',
    '{"a": 1}',
    " [1, 2]  ",
    "null",
    "1",
    "\u2028",
  ],
  ...['{"a":\n1}', "line\nbreak", "\t", '"\\ud83d\\ude00"', '{"half":"\\ud800"}', "[".repeat(200), "\\"],
])("%j comes back as it was sent, and is a body the broker takes", (data) => {
  const body = checkBody(bodyOf(data), RULES);
  expect(dataOf(body as string)).toBe(data);
});

test("plain JSON is a plain message for everybody else", () => {
  expect(bodyOf('{"a": 1}')).toBe('{"a": 1}');
  expect(bodyOf("[1]")).toBe("[1]");
  expect(bodyOf("text")).toBe('"text"');
});

test("what a service has published is the data", () => {
  expect(dataOf('{"text":"hi"}')).toBe('{"text":"hi"}');
  expect(dataOf(' "hi" ')).toBe("hi");
});
