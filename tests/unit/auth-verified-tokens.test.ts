import { expect, test } from "bun:test";
import type { Keys } from "../../src/auth/jwt/issuer.ts";
import { MAX_REMEMBERED, VerifiedTokens } from "../../src/auth/jwt/verified-tokens.ts";

const keys: Keys = {
  start: async () => {},
  close() {},
  find: async () => [],
  version: 0,
  freshUntilMs: Number.POSITIVE_INFINITY,
};
const entry = (value: number) => ({ value, endsAt: Number.POSITIVE_INFINITY, keys, version: 0 });

test("remembers a bounded number of tokens, those used last", () => {
  const tokens = new VerifiedTokens<number>();
  for (let i = 0; i < MAX_REMEMBERED; i++) tokens.set(`t${i}`, entry(i));
  expect(tokens.get("t0", 0)?.value).toBe(0);
  tokens.set("one more", entry(-1));
  expect(tokens.get("t0", 0)?.value).toBe(0);
  expect(tokens.get("t1", 0)).toBeUndefined();
  expect(tokens.get("t2", 0)?.value).toBe(2);
});

test("does not remember long ones", () => {
  const tokens = new VerifiedTokens<number>();
  tokens.set("x".repeat(2_000), entry(1));
  expect(tokens.get("x".repeat(2_000), 0)).toBeUndefined();
});
