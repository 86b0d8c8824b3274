import { importSPKI } from "jose";
import type { Logger } from "../../core/log.ts";
import { HmacKey } from "./hmac.ts";
import { type Fetch, remoteKeys } from "./jwks.ts";

/** Signature algorithms a token may be pinned to. */
export const SECRET_ALGORITHMS = ["HS256", "HS384", "HS512"] as const;
export const PUBLIC_KEY_ALGORITHMS = [
  ...(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const),
  ...(["ES256", "ES384", "ES512", "EdDSA"] as const),
] as const;
export type Algorithm = (typeof SECRET_ALGORITHMS)[number] | (typeof PUBLIC_KEY_ALGORITHMS)[number];

/** Shortest HMAC secret in bytes: a shorter one can be found by trying (RFC 7518 section 3.2). */
const MIN_SECRET_BYTES = 32;

const MIN_RSA_BITS = 2048;

/** Somebody whose tokens are taken. Exactly one of `secret`, `publicKey` and `jwksUrl` is set. */
export interface Issuer {
  /** The `iss` its tokens must carry. Without: it takes tokens whose `iss` no other issuer claims, or with none. */
  readonly issuer?: string;
  /** A value the `aud` of its tokens must hold. Without: any. */
  readonly audience?: string;
  /**
   * The only algorithms taken from it; none is derived from the token. Of those that need another kind of key than
   * the one given (ES256 for an RSA key) nothing is taken.
   */
  readonly algorithms: readonly Algorithm[];
  /** The key's name: tokens with another `kid` are not tried with it. Not for `jwksUrl`, whose keys have their own. */
  readonly kid?: string;
  /** HMAC secret, taken as UTF-8. */
  readonly secret?: string;
  /** PEM text, `-----BEGIN PUBLIC KEY-----`. */
  readonly publicKey?: string;
  readonly jwksUrl?: string;
}

/** What may have made a signature. */
export type Key = CryptoKey | HmacKey;

/** Where the keys of one issuer come from. */
export interface Keys {
  /** @throws Error that says how to mend a key which cannot be used */
  start(): Promise<void>;
  close(): void;
  /**
   * Keys that may have signed a token with this header. @throws CommandError internal (temporary) when that cannot be
   * known right now
   */
  find(algorithm: string, kid: string | undefined): readonly Key[] | Promise<readonly Key[]>;
  /** Changes whenever a key may have been taken away. */
  readonly version: number;
  /** Unix ms after which {@link find} must be asked again about a token that was good before. */
  readonly freshUntilMs: number;
}

export interface KeyOptions {
  /** Fetch key sets over plain http, too (from this machine that is always allowed). */
  readonly insecure?: boolean;
  readonly log: Logger;
  /** Unix time, ms. */
  readonly now: () => number;
  readonly fetch: Fetch;
}

/**
 * Makes the key source of an issuer. Algorithms and kind of key must fit, so that a public key can never be used as
 * an HMAC secret. @throws Error that names the mistake, never the key
 */
export function keysOf(issuer: Issuer, options: KeyOptions): Keys {
  const { secret, publicKey, jwksUrl, algorithms } = issuer;
  if ([secret, publicKey, jwksUrl].filter((source) => source !== undefined).length !== 1) {
    throw new Error("a token issuer needs exactly one of secret, publicKey and jwksUrl");
  }
  const usable: readonly string[] = secret === undefined ? PUBLIC_KEY_ALGORITHMS : SECRET_ALGORITHMS;
  const wrong = algorithms.find((algorithm) => !usable.includes(algorithm));
  if (wrong !== undefined || algorithms.length === 0) {
    throw new Error(
      `algorithms of an issuer with a ${secret === undefined ? "public key" : "secret"} are one or more of ${usable.join(", ")}`,
    );
  }
  if (jwksUrl !== undefined) return remoteKeys({ url: jwksUrl, ...options });
  return fixedKeys(algorithms, issuer.kid, (algorithm) =>
    secret === undefined ? importPublicKey(publicKey!, algorithm) : hmacKey(secret, algorithm),
  );
}

/** Keys that are known at the start and never change. They are imported once, for every algorithm they can serve. */
function fixedKeys(
  algorithms: readonly Algorithm[],
  ownKid: string | undefined,
  load: (algorithm: Algorithm) => Promise<Key>,
): Keys {
  const keys = new Map<string, readonly Key[]>();
  return {
    async start() {
      const loaded = await Promise.allSettled(algorithms.map(load));
      loaded.forEach((result, i) => {
        if (result.status === "fulfilled") keys.set(algorithms[i]!, [result.value]);
      });
      const [first] = loaded;
      if (keys.size === 0 && first?.status === "rejected") throw first.reason;
    },
    close() {},
    find(algorithm, kid) {
      if (ownKid !== undefined && kid !== undefined && kid !== ownKid) return [];
      return keys.get(algorithm) ?? [];
    },
    version: 0,
    freshUntilMs: Number.POSITIVE_INFINITY,
  };
}

/** An HMAC key to check with. @throws Error when the secret is too short, or is really a PEM text */
async function hmacKey(secret: string, algorithm: Algorithm): Promise<HmacKey> {
  return new HmacKey(secretBytes(secret), algorithm);
}

/** An HMAC key to sign with. @throws Error when the secret is too short, or is really a PEM text */
export async function importSecret(secret: string, algorithm: Algorithm): Promise<CryptoKey> {
  const hash = `SHA-${algorithm.slice(2)}`;
  return crypto.subtle.importKey("raw", secretBytes(secret), { name: "HMAC", hash }, false, [
    "sign",
    "verify",
  ]);
}

function secretBytes(secret: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(secret);
  if (secret.includes("-----BEGIN")) throw new Error("a token secret is no PEM key: set it as publicKey");
  if (bytes.length < MIN_SECRET_BYTES) {
    throw new Error(
      `a token secret needs at least ${MIN_SECRET_BYTES} bytes; make one with: openssl rand -base64 48`,
    );
  }
  return bytes;
}

async function importPublicKey(pem: string, algorithm: Algorithm): Promise<CryptoKey> {
  const text = pem.trim();
  if (!text.startsWith("-----BEGIN PUBLIC KEY-----")) {
    const hint = text.includes("PRIVATE KEY")
      ? "this is a private key; take its public half: openssl pkey -in key.pem -pubout"
      : "it begins with -----BEGIN PUBLIC KEY-----";
    throw new Error(`a token public key must be PEM (SPKI): ${hint}`);
  }
  const key = await importSPKI(text, algorithm).catch(() => {
    throw new Error(`the token public key cannot be used for ${algorithm}`);
  });
  const bits = (key.algorithm as { modulusLength?: number }).modulusLength;
  if (bits !== undefined && bits < MIN_RSA_BITS) {
    throw new Error(`an RSA token key needs ${MIN_RSA_BITS} bits, this one has ${bits}`);
  }
  return key;
}
