import { createLocalJWKSet, errors, type JSONWebKeySet } from "jose";
import { CommandError, Errors } from "../../core/errors.ts";
import type { KeyOptions, Keys } from "./issuer.ts";

/** How long a key set is used without asking for it again, ms. */
export const JWKS_FRESH_MS = 600_000;

/** Least time between two fetches, ms: bounds what made-up key names, or an endpoint that is down, can cost. */
export const JWKS_COOLDOWN_MS = 30_000;

/** How long tokens wait for a fetch, ms. */
const KEY_SET_TIMEOUT_MS = 3_000;

/** Largest key set in bytes. */
const MAX_BYTES = 262_144;

/** Keys of one set that are tried for a token which does not name its key. */
const MAX_CANDIDATES = 8;

export interface RemoteKeysOptions extends KeyOptions {
  readonly url: string;
}

/**
 * Keys from a JWK Set endpoint (RFC 7517): one fetch at a time, shared by all that wait; fetched again when it is not
 * fresh any more, and when a token names a key it does not have, but never twice within the cool-down. While the
 * endpoint is down the last set stays in use, so that an outage there keeps nobody out.
 *
 * @throws Error when the address is not https (http from this machine, or with `insecure`)
 */
export function remoteKeys(options: RemoteKeysOptions): Keys {
  return new RemoteKeys(options);
}

class RemoteKeys implements Keys {
  version = 0;
  freshUntilMs = 0;
  readonly #options: RemoteKeysOptions;
  readonly #url: URL;
  readonly #closing = new AbortController();
  #set: ReturnType<typeof createLocalJWKSet> | undefined;
  /** When it was last fetched, or tried to be, Unix ms. */
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #pending: Promise<Outcome> | undefined;

  constructor(options: RemoteKeysOptions) {
    const url = new URL(options.url);
    const loopback = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
    if (url.protocol !== "https:" && !(url.protocol === "http:" && (loopback || options.insecure))) {
      throw new Error(`the key set at ${url.host} must be fetched over https`);
    }
    this.#options = options;
    this.#url = url;
  }

  async start(): Promise<void> {
    await this.#refresh();
  }

  close(): void {
    this.#closing.abort();
  }

  async find(algorithm: string, kid: string | undefined): Promise<readonly CryptoKey[]> {
    let outcome: Outcome = "cooling";
    if (this.#options.now() >= this.freshUntilMs) outcome = await this.#refresh();
    let keys = await this.#candidates(algorithm, kid);
    if (keys.length === 0 && outcome !== "fetched") {
      outcome = await this.#refresh();
      keys = await this.#candidates(algorithm, kid);
    }
    // The key may be a new one that we were not allowed, or able, to look for: the client should come back.
    if (keys.length === 0 && outcome !== "fetched") {
      throw new CommandError(Errors.internal, "token key unknown, and its key set cannot be fetched now");
    }
    return keys;
  }

  async #candidates(algorithm: string, kid: string | undefined): Promise<readonly CryptoKey[]> {
    return this.#set ? await candidates(this.#set, algorithm, kid) : [];
  }

  async #refresh(): Promise<Outcome> {
    if (this.#pending) return await this.#pending;
    const now = this.#options.now();
    if (this.#closing.signal.aborted || now < this.#triedAtMs + JWKS_COOLDOWN_MS) return "cooling";
    this.#triedAtMs = now;
    this.#pending = this.#load().finally(() => {
      this.#pending = undefined;
    });
    return await this.#pending;
  }

  async #load(): Promise<Outcome> {
    const { fetch, now, log } = this.#options;
    let stage = "request";
    try {
      const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(KEY_SET_TIMEOUT_MS)]);
      const headers = { accept: "application/json, application/jwk-set+json" };
      const response = await fetch(this.#url.href, { redirect: "error", signal, headers });
      stage = `status ${response.status}`;
      const text = await boundedText(response);
      if (response.status !== 200) throw new Error("no key set");
      stage = "content";
      this.#set = createLocalJWKSet(JSON.parse(text) as JSONWebKeySet);
      this.version++;
      this.freshUntilMs = now() + JWKS_FRESH_MS;
      return "fetched";
    } catch (error) {
      // Only the error's name: messages of some runtimes hold the whole address.
      const why = error instanceof Error ? error.name : "unknown";
      if (!this.#closing.signal.aborted) {
        const { host } = this.#url;
        log.warn("token key set not fetched", { host, stage, why, keepingOld: this.#set !== undefined });
      }
      return "failed";
    }
  }
}

type Outcome = "fetched" | "failed" | "cooling";

async function candidates(
  set: ReturnType<typeof createLocalJWKSet>,
  alg: string,
  kid: string | undefined,
): Promise<readonly CryptoKey[]> {
  try {
    return [await set({ alg, ...(kid !== undefined && { kid }) })];
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) return [];
    const keys: CryptoKey[] = [];
    for await (const key of error) {
      if (keys.push(key) === MAX_CANDIDATES) break;
    }
    return keys;
  }
}

async function boundedText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BYTES) throw new RangeError("key set too big");
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
