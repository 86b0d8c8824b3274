import { createHmac } from "node:crypto";

export interface TokenOptions {
  /** Secret of HS256; "" where the target wants no tokens. */
  readonly secret: string;
  /** Name of the user of client `number`; "" is a client without a user, and without an inbox. */
  readonly users: "own" | "none";
}

/** How long tokens are good: longer than any run. */
const LIFETIME_SECONDS = 12 * 3_600;

const HEADER = base64url({ alg: "HS256", typ: "JWT" });

/**
 * Signs a connection token for a client, by its number: all are different, because a server must not get by with
 * checking one of them. Made when they are needed: a million of them would fill a good part of the generator's memory,
 * and signing in one step takes a tenth of what promises take.
 */
export function tokenMaker({ secret, users }: TokenOptions): (number: number) => string {
  if (secret === "") return () => "";
  const exp = Math.floor(Date.now() / 1000) + LIFETIME_SECONDS;
  return (number) => {
    const claims = base64url({ sub: users === "own" ? `bench-${number}` : "", jti: String(number), exp });
    const input = `${HEADER}.${claims}`;
    return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
  };
}

function base64url(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}
