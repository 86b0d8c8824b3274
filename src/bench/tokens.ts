import { SignJWT } from "jose";

export interface TokenOptions {
  /** Secret of HS256. */
  readonly secret: string;
  /** Number of the first client; clients of one run have numbers of their own. */
  readonly first: number;
  readonly count: number;
  /** Name of the user of client `number`; "" is a client without a user, and without an inbox. */
  readonly users: "own" | "none";
}

/** How long tokens are good: longer than any run. */
const LIFETIME = "12h";

/** A connection token for each client, all different: a server must not get by with checking one of them. */
export async function signTokens({ secret, first, count, users }: TokenOptions): Promise<string[]> {
  const key = await crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(secret),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  const sign = (number: number) =>
    new SignJWT()
      .setProtectedHeader({ alg: "HS256" })
      .setSubject(users === "own" ? `bench-${number}` : "")
      .setJti(String(number))
      .setExpirationTime(LIFETIME)
      .sign(key);
  const tokens: string[] = [];
  for (let at = 0; at < count; at += 1_000) {
    const size = Math.min(1_000, count - at);
    tokens.push(...(await Promise.all(Array.from({ length: size }, (_, i) => sign(first + at + i)))));
  }
  return tokens;
}
