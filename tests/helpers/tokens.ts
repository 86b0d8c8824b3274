import { createHmac } from "node:crypto";
import type { Issuer } from "../../src/auth/jwt/issuer.ts";
import { CommandError, ConnectionError } from "../../src/core/errors.ts";

/** The secret tokens of tests are signed with. */
export const TEST_SECRET = "only-for-tests-0123456789abcdefghijklmnop";

/** What an authenticator needs to know to take them: `jwtAuthenticator({ issuers: [TEST_ISSUER], … })`. */
export const TEST_ISSUER: Issuer = { algorithms: ["HS256"], secret: TEST_SECRET };

type Claims = Readonly<Record<string, unknown>>;

/** A JWT signed with HS256, synchronously. Header members may be replaced. */
export function signed(claims: Claims, { secret = TEST_SECRET, header = {} as Claims } = {}): string {
  const part = (value: Claims) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const input = `${part({ alg: "HS256", typ: "JWT", ...header })}.${part(claims)}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}

/** A connection token, good for an hour; further claims (`info`, `channels`, `caps`, `device`, …) as they are. */
export function connectionToken({ user, ...claims }: { user: string } & Claims): string {
  return signed({ sub: user, exp: inSeconds(3600), ...claims });
}

/** A connection token for somebody who may subscribe to everything, in channels that Pusher clients sign for, too. */
export function trustedToken(user: string): string {
  return connectionToken({
    user,
    caps: [{ channels: ["*"], match: "wildcard", allow: ["sub", "prs", "hst"] }],
  });
}

/** A subscription token, good for an hour; further claims as they are. */
export function subscriptionToken({
  user,
  channel,
  ...claims
}: { user: string; channel: string } & Claims): string {
  return signed({ sub: user, channel, exp: inSeconds(3600), ...claims });
}

/** Unix time in seconds, `seconds` from now. */
export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}

/** What checking a token came to: `good`, or the number of the error or close its client gets. */
export async function verdict(check: Promise<unknown>): Promise<"good" | number> {
  try {
    await check;
    return "good";
  } catch (error) {
    if (error instanceof ConnectionError) return error.close.code;
    if (error instanceof CommandError) return error.error.code;
    throw error;
  }
}
