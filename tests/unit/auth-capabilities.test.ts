import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Capability } from "../../src/auth/auth.ts";
import {
  allows,
  compileCapabilities,
  MAX_CAPABILITIES,
  MAX_CAPABILITY_CHANNELS,
  MAX_PATTERNS,
  wildcardMatches,
} from "../../src/auth/capabilities.ts";
import { compilePattern, MAX_PATTERN_LENGTH } from "../../src/auth/pattern.ts";

const capability = (match: Capability["match"], ...channels: string[]): Capability => ({
  channels,
  match,
  allow: ["sub"],
});

describe("capabilities", () => {
  test("allow what they name and nothing else", () => {
    const held = compileCapabilities([
      { channels: ["chat:1", "chat:2"], match: "exact", allow: ["sub", "pub"] },
      { channels: ["news:*"], match: "wildcard", allow: ["sub", "hst"] },
      { channels: ["^room:\\d+$"], match: "regex", allow: ["prs"] },
    ]);
    expect(allows(held, "chat:1", "pub")).toBe(true);
    expect(allows(held, "chat:1", "hst")).toBe(false);
    expect(allows(held, "chat:12", "sub")).toBe(false);
    expect(allows(held, "news:de", "sub")).toBe(true);
    expect(allows(held, "news:de", "pub")).toBe(false);
    expect(allows(held, "old-news:de", "sub")).toBe(false);
    expect(allows(held, "room:42", "prs")).toBe(true);
    expect(allows(held, "room:42x", "prs")).toBe(false);
    expect(allows(held, "xroom:42", "prs")).toBe(false);
    expect(allows([], "chat:1", "sub")).toBe(false);
  });

  test("a star in an exact name is a star", () => {
    const held = compileCapabilities([capability("exact", "chat:*")]);
    expect(allows(held, "chat:1", "sub")).toBe(false);
    expect(allows(held, "chat:*", "sub")).toBe(true);
  });

  test("are bounded in number", () => {
    const many = <T>(length: number, item: T) => Array.from({ length }, () => item);
    expect(() => compileCapabilities(many(MAX_CAPABILITIES + 1, capability("exact", "a")))).toThrow(
      SyntaxError,
    );
    expect(() =>
      compileCapabilities([capability("exact", ...many(MAX_CAPABILITY_CHANNELS + 1, "a"))]),
    ).toThrow(SyntaxError);
    expect(() => compileCapabilities(many(MAX_PATTERNS + 1, capability("regex", "a")))).toThrow(SyntaxError);
    expect(compileCapabilities(many(MAX_PATTERNS, capability("regex", "a")))).toHaveLength(MAX_PATTERNS);
  });
});

/** By definition, exponential: a star takes any prefix of what is left. */
function naiveWildcard(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  if (pattern[0] !== "*")
    return text !== "" && pattern[0] === text[0] && naiveWildcard(pattern.slice(1), text.slice(1));
  for (let taken = 0; taken <= text.length; taken++) {
    if (naiveWildcard(pattern.slice(1), text.slice(taken))) return true;
  }
  return false;
}

test("a wildcard matches exactly what its definition says", () => {
  const from = (alphabet: string, maxLength: number) =>
    fc.string({ unit: fc.constantFrom(...alphabet), maxLength });
  fc.assert(
    fc.property(from("ab:*", 7), from("ab:*", 9), (pattern, text) => {
      expect(wildcardMatches(pattern, text)).toBe(naiveWildcard(pattern, text));
    }),
    { numRuns: 3_000 },
  );
});

describe("patterns", () => {
  /** Patterns of the subset, as text. */
  const patterns = fc.letrec<{ pattern: string; atom: string }>((tie) => ({
    atom: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      fc.constantFrom(
        "a",
        "b",
        ":",
        ".",
        "\\.",
        "\\d",
        "\\W",
        "\\s",
        "[ab]",
        "[^a]",
        "[a-c\\d]",
        "[\\-.]",
        "é",
        "😀",
      ),
      tie("pattern").map((inner) => `(${inner})`),
      tie("pattern").map((inner) => `(?:${inner})`),
    ),
    pattern: fc
      .array(
        fc.array(fc.tuple(tie("atom"), fc.constantFrom("", "", "*", "+", "?", "{2}", "{1,}", "{0,2}")), {
          maxLength: 3,
        }),
        { minLength: 1, maxLength: 3 },
      )
      .map((branches) => branches.map((parts) => parts.flat().join("")).join("|")),
  })).pattern;
  const texts = fc.string({
    unit: fc.constantFrom("a", "b", "c", ":", ".", "1", " ", "-", "é", "😀"),
    maxLength: 8,
  });

  test("match exactly what the engine of the language says", () => {
    fc.assert(
      fc.property(patterns, fc.array(texts, { minLength: 5, maxLength: 5 }), (pattern, samples) => {
        fc.pre(pattern.length <= 40); // longer ones take the language's engine seconds
        let own: (text: string) => boolean;
        try {
          own = compilePattern(pattern);
        } catch (error) {
          expect((error as Error).message).toBe("pattern is too big");
          return;
        }
        const native = new RegExp(`^(?:${pattern})$`, "su");
        for (const text of samples)
          expect([pattern, text, own(text)]).toEqual([pattern, text, native.test(text)]);
      }),
      { numRuns: 1_000 },
    );
  });

  test("anchors at both ends change nothing, an escaped one is a character", () => {
    expect(compilePattern("^chat:.+$")("chat:1")).toBe(true);
    expect(compilePattern("chat:.+")("my-chat:1")).toBe(false);
    expect(compilePattern("price\\$")("price$")).toBe(true);
    expect(compilePattern("price\\\\$")("price\\")).toBe(true);
  });

  test("patterns that hang a backtracking engine are harmless", () => {
    const text = `${"a".repeat(254)}!`;
    for (const pattern of [
      "(a+)+b",
      "(a|a)*b",
      "(a|aa)+$",
      ".*.*.*.*.*.*b",
      `${"a?".repeat(60)}b`,
      "((a*)*)*b",
    ]) {
      expect(compilePattern(pattern)(text)).toBe(false);
    }
  });

  test.each([
    ["back reference", "(a)\\1"],
    ["look-ahead", "(?=a)a"],
    ["look-behind", "(?<=a)b"],
    ["named group", "(?<x>a)"],
    ["lazy quantifier", "a+?"],
    ["stacked quantifiers", "a**"],
    ["bare quantifier", "*a"],
    ["inner anchor", "a^b"],
    ["unclosed group", "(a"],
    ["unopened group", "a)"],
    ["unclosed class", "[a"],
    ["empty class", "[]"],
    ["reversed range", "[z-a]"],
    ["unicode property", "\\p{L}"],
    ["word boundary", "\\bchat"],
    ["trailing backslash", "a\\"],
    ["reversed repetition", "a{3,2}"],
    ["endless repetition", "((((a{99}){99}){99}){99})"],
    ["long pattern", "a".repeat(MAX_PATTERN_LENGTH + 1)],
    ["deep groups", `${"(".repeat(40)}a${")".repeat(40)}`],
  ])("refuses: %s", (_, pattern) => {
    expect(() => compilePattern(pattern)).toThrow(SyntaxError);
  });

  test("repeating nothing takes no time", () => {
    expect(compilePattern(`${"(".repeat(12)}${"){999}".repeat(12)}`)("")).toBe(true);
  });
});
