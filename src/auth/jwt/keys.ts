import { importSPKI } from "jose";
import { utf8Encoder } from "../../core/text.ts";
import { HmacKey } from "./hmac.ts";
import {
  type Algorithm,
  type Issuer,
  type Key,
  type KeyOptions,
  type Keys,
  PUBLIC_KEY_ALGORITHMS,
  SECRET_ALGORITHMS,
} from "./issuer.ts";
import { remoteKeys } from "./jwks.ts";

/** Shortest HMAC secret in bytes: a shorter one can be found by trying (RFC 7518 section 3.2). */
const MIN_SECRET_BYTES = 32;

const MIN_RSA_BITS = 2048;

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
  const bytes = utf8Encoder.encode(secret);
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
