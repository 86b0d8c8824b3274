import {
  base64url,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from "jose";
import { Closes, CommandError, ConnectionError, Errors } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";
import { utf8Decoder } from "../../core/text.ts";
import type { Authenticator, Identity, SubscriptionGrant } from "../auth.ts";
import { ClaimError, readGrant, readIdentity } from "../claims.ts";
import { HmacKey } from "./hmac.ts";
import type { Fetch, Issuer, Key, Keys } from "./issuer.ts";
import { keysOf } from "./keys.ts";
import type { Expected } from "./registered-claims.ts";
import { VerifiedTokens } from "./verified-tokens.ts";

/** Longest token in characters. */
export const MAX_TOKEN_LENGTH = 8_192;

/** How far clocks of issuers may differ from ours, in seconds. */
const DEFAULT_TOLERANCE = 5;

/** Compact serialization with three parts, none of them empty and nothing between: jose would skip white space. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

export interface JwtOptions {
  readonly issuers: readonly Issuer[];
  /** Fetch key sets over plain http, too. */
  readonly insecure?: boolean;
  /** How far the clocks of issuers may differ from ours, in seconds. Default 5. */
  readonly clockTolerance?: number;
  readonly log: Logger;
  /** Unix time, ms. */
  readonly now?: () => number;
  readonly fetch?: Fetch;
}

/**
 * Checks tokens signed by the given issuers. A token is checked only by the issuers that name its `iss`, or else by
 * those that name none, and only with an algorithm pinned for them.
 *
 * @throws Error that names the mistake in an issuer (at once, or from `start` when a key cannot be used)
 */
export function jwtAuthenticator(options: JwtOptions): Authenticator {
  return new JwtAuthenticator(options);
}

class JwtAuthenticator implements Authenticator {
  readonly #issuers: Context["issuers"];
  readonly #verifyConnection: (token: string) => Promise<Identity>;
  readonly #verifySubscription: (token: string) => Promise<ReturnType<typeof readGrant>>;

  constructor(options: JwtOptions) {
    const { insecure, log, now = Date.now, fetch = globalThis.fetch } = options;
    this.#issuers = options.issuers.map((issuer) => ({
      ...issuer,
      keys: keysOf(issuer, { insecure, log, now, fetch }),
    }));
    const context: Context = {
      issuers: this.#issuers,
      named: this.#issuers.some(({ issuer }) => issuer !== undefined),
      now,
      tolerance: options.clockTolerance ?? DEFAULT_TOLERANCE,
      headers: new Map(),
    };
    this.#verifyConnection = verifier(context, readIdentity);
    this.#verifySubscription = verifier(context, readGrant);
  }

  async start(): Promise<void> {
    await Promise.all(this.#issuers.map(({ keys }) => keys.start()));
  }

  async close(): Promise<void> {
    for (const { keys } of this.#issuers) keys.close();
  }

  async connection(token: string): Promise<Identity> {
    try {
      return await this.#verifyConnection(token);
    } catch (error) {
      throw error instanceof ClaimError ? new ConnectionError(Closes.invalidToken, error.message) : error;
    }
  }

  async subscription(token: string, channel: string, user: string): Promise<SubscriptionGrant> {
    try {
      const scoped = await this.#verifySubscription(token);
      if (scoped.channel === channel && scoped.user === user) return scoped.grant;
    } catch (error) {
      throw error instanceof ClaimError ? new CommandError(Errors.permissionDenied, error.message) : error;
    }
    throw new ConnectionError(Closes.invalidToken, "subscription token of another user or channel");
  }
}

interface Context {
  readonly issuers: readonly (Issuer & { readonly keys: Keys })[];
  /** Some issuer has a name. */
  readonly named: boolean;
  readonly now: () => number;
  readonly tolerance: number;
  /** Headers read before, by their encoded text: an issuer writes the same one into all its tokens. */
  readonly headers: Map<string, Header>;
}

/** What of a token's header chooses a key. */
interface Header {
  readonly alg: string;
  readonly kid: string | undefined;
}

/** Most headers remembered, and the longest one, in characters. */
const MAX_HEADERS = 64;
const MAX_HEADER_LENGTH = 256;

/**
 * Makes the check of one kind of token. It resolves with what `read` makes of the claims, which must be immutable:
 * it is shared by all connections that present the same token.
 *
 * @throws CommandError tokenExpired, internal; ClaimError
 */
function verifier<T extends { readonly user: string; readonly expiresAt?: number }>(
  context: Context,
  read: (payload: unknown, text: () => string) => T,
): (token: string) => Promise<T> {
  const verified = new VerifiedTokens<T>();

  return async (token) => {
    const nowMs = context.now();
    let entry = verified.get(token, nowMs);
    if (!entry) {
      const { payload, keys, version, cheap } = await verifySignature(token, context);
      const value = read(payload, () => textOfPart(token, 1));
      const forever = Number.POSITIVE_INFINITY;
      const endsAt = Math.min(payload.exp ?? forever, value.expiresAt ?? forever);
      entry = { value, endsAt, keys, version };
      if (!cheap) verified.set(token, entry);
    }
    if (entry.endsAt <= nowMs / 1000 - context.tolerance) {
      verified.delete(token);
      throw expired({ sub: entry.value.user, exp: entry.endsAt });
    }
    return entry.value;
  };
}

/** Checks form, header, issuer, signature, `nbf` and `exp`, and returns the claims with the keys they rest on. */
async function verifySignature(token: string, context: Context) {
  if (token.length > MAX_TOKEN_LENGTH) throw new ClaimError("token too long");
  const { issuers, now, tolerance } = context;
  const { alg, kid, iss } = peek(token, context);
  // A name nobody has is as good as none.
  const name = issuers.some(({ issuer }) => issuer === iss) ? iss : undefined;

  let failure: unknown;
  let able = false;
  for (const { issuer, audience, algorithms, keys } of issuers) {
    if (issuer !== name || !(algorithms as readonly string[]).includes(alg)) continue;
    able = true;
    try {
      const asked = keys.find(alg, kid);
      const found = asked instanceof Promise ? await asked : asked;
      const version = keys.version;
      const options = { issuer, audience, clockTolerance: tolerance, currentDate: new Date(now()) };
      for (const key of found) {
        const cheap = key instanceof HmacKey;
        const payload = cheap ? hmac(key, token, alg, options) : await signature(key, token, alg, options);
        // Checking one with a secret again costs less than remembering it.
        if (payload) return { payload, keys, version, cheap };
      }
    } catch (error) {
      // Issuers may share a name or a key: another one may still take it.
      failure ??= error instanceof errors.JWTExpired ? expired(error.payload) : flaw(error);
    }
  }
  throw failure ?? new ClaimError(able ? "signature of no known key" : "no issuer for its iss and alg");
}

/** Of a token with a good signature: whose it is may be told, to whoever asks why. */
function expired({ sub: user, exp }: Pick<JWTPayload, "sub" | "exp">): CommandError {
  const ago = exp === undefined ? Number.NaN : Math.round(Date.now() / 1_000 - exp);
  const since = ago >= 0 ? `${ago} s ago` : undefined;
  return new CommandError(Errors.tokenExpired, since, typeof user === "string" ? { user } : undefined);
}

/** The claims, when the key made the signature. @throws JOSEError for what is wrong with a signed token */
function hmac(key: HmacKey, token: string, alg: string, expected: Expected) {
  try {
    return key.verify(token, alg, expected);
  } catch (error) {
    return otherKey(error);
  }
}

/** The same for a key of a pair. */
async function signature(key: Exclude<Key, HmacKey>, token: string, alg: string, options: JWTVerifyOptions) {
  try {
    return (await jwtVerify(token, key, { ...options, algorithms: [alg] })).payload;
  } catch (error) {
    return otherKey(error);
  }
}

/** Nothing, when some other key may have made the signature. @throws the error otherwise */
function otherKey(error: unknown): undefined {
  if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
  return undefined;
}

/** Reads what is needed to choose a key. Nothing of it is trusted. */
function peek(token: string, { headers, named }: Context): Header & { iss: unknown } {
  if (!COMPACT.test(token)) throw new ClaimError("not a compact JWT");
  try {
    const encoded = token.slice(0, token.indexOf("."));
    let header = headers.get(encoded);
    if (!header) {
      header = readHeader(token);
      if (encoded.length <= MAX_HEADER_LENGTH && headers.size < MAX_HEADERS) headers.set(encoded, header);
    }
    const { alg, kid } = header;
    return { alg, kid, iss: named ? decodeJwt(token).iss : undefined };
  } catch (error) {
    throw flaw(error);
  }
}

/** @throws ClaimError, JOSEError */
function readHeader(token: string): Header {
  const { alg, kid, ...header } = decodeProtectedHeader(token);
  if (typeof alg !== "string" || (kid !== undefined && typeof kid !== "string")) {
    throw new ClaimError("malformed header");
  }
  // No extension is understood, and a critical one must be (RFC 7515 section 4.1.11).
  if ("crit" in header) throw new ClaimError("critical header extension");
  if (hasRepeatedMember(token)) throw new ClaimError("repeated or nested header member");
  return { alg, kid };
}

/** Whether the header, which is valid JSON, has one name twice: other readers would take the other value. */
function hasRepeatedMember(token: string): boolean {
  const text = textOfPart(token, 0);
  let members = 0;
  for (const [, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)) if (colon) members++;
  return members !== Object.keys(JSON.parse(text)).length;
}

/** What a part of a compact JWT says, as it was written. @param part 0: header, 1: claims */
function textOfPart(token: string, part: 0 | 1): string {
  return utf8Decoder.decode(base64url.decode(token.split(".", 2)[part]!));
}

/** jose's verdicts as our own; its messages name claims and header members, never values. What is no verdict stays. */
function flaw(error: unknown): unknown {
  return error instanceof errors.JOSEError || error instanceof TypeError
    ? new ClaimError(error.message)
    : error;
}
