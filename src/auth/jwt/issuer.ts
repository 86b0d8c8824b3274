import type { Logger } from "../../core/log.ts";
import type { HmacKey } from "./hmac.ts";

/** Signature algorithms a token may be pinned to. */
export const SECRET_ALGORITHMS = ["HS256", "HS384", "HS512"] as const;
export const PUBLIC_KEY_ALGORITHMS = [
  ...(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const),
  ...(["ES256", "ES384", "ES512", "EdDSA"] as const),
] as const;
export type Algorithm = (typeof SECRET_ALGORITHMS)[number] | (typeof PUBLIC_KEY_ALGORITHMS)[number];

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

/** Fetches a key set, as the global `fetch` does. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** What every key source needs beside its issuer. */
export interface KeyOptions {
  /** Fetch key sets over plain http, too (from this machine that is always allowed). */
  readonly insecure?: boolean;
  readonly log: Logger;
  /** Unix time, ms. */
  readonly now: () => number;
  readonly fetch: Fetch;
}
