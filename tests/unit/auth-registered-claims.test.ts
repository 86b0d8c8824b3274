import { expect, test } from "bun:test";
import { errors, type JWTPayload, UnsecuredJWT } from "jose";
import { checkRegistered, type Expected } from "../../src/auth/jwt/registered-claims.ts";

const NOW = 1_700_000_000;
const currentDate = new Date(NOW * 1000 + 999);
const PLAIN: Expected = { clockTolerance: 5, currentDate };

/** What came of a check: nothing, or the error's code and words. */
function verdict(check: () => unknown): string {
  try {
    check();
    return "good";
  } catch (error) {
    return error instanceof errors.JOSEError ? `${error.code}: ${error.message}` : String(error);
  }
}

/** What jose says of the same claims, which it takes in a token without a signature only. */
function byJose(claims: object, expected: Expected): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return verdict(() => UnsecuredJWT.decode(`${part({ alg: "none" })}.${part(claims)}.`, expected));
}

const values = [null, true, "", "a", "b", ["a"], ["b", "a"], ["b"], [], {}, 0, -1, 1.5];
const times = [-6, -5, -4, 0, 4, 5, 5.5, 6].map((offset) => NOW + offset);

test("claims are judged as jose judges them, in the same words", () => {
  const cases: readonly object[] = [
    {},
    ...["iss", "aud", "iat", "nbf", "exp"].flatMap((name) =>
      [...values, ...times].flatMap((value) => [{ [name]: value }, { iss: "a", aud: "a", [name]: value }]),
    ),
    { iss: "a", aud: "a", nbf: NOW + 60, exp: NOW - 60 },
  ];
  const verdicts = new Set<string>();
  for (const issuer of [undefined, "a", ""]) {
    for (const audience of [undefined, "a", ""]) {
      const expected = { ...PLAIN, issuer, audience };
      for (const claims of cases) {
        const found = verdict(() => checkRegistered(claims as JWTPayload, expected));
        expect([claims, found]).toEqual([claims, byJose(claims, expected)]);
        verdicts.add(found);
      }
    }
  }
  expect(verdicts.size).toBe(10);
});
