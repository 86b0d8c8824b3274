import { createHmac } from "node:crypto";

export interface TokenOptions {
  /** HS256 secret; "" for a target without tokens. */
  readonly secret: string;
  /** User of client `number`; "" for a client without a user, and so without an inbox. */
  readonly users: "own" | "none";
}

/** Life of a token: longer than any run. */
const LIFETIME_SECONDS = 12 * 3_600;

const HEADER = base64url({ alg: "HS256", typ: "JWT" });

/**
 * Signs a connection token for a client, by its number. All tokens differ, so that a server cannot verify one and reuse
 * the result. They are made on demand, because a million of them would fill much of the generator's memory; signing
 * synchronously takes a tenth of the time of promises.
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
