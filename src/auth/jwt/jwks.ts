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

/**
 * Keys from a JWK Set endpoint (RFC 7517): one fetch at a time, shared by all that wait; fetched again when it is not
 * fresh any more, and when a token names a key it does not have, but never twice within the cool-down. While the
 * endpoint is down the last set stays in use, so that an outage there keeps nobody out.
 *
 * @throws Error when the address is not https (http from this machine, or with `insecure`)
 */
export function remoteKeys({
  url,
  insecure = false,
  log,
  now,
  fetch,
}: KeyOptions & { readonly url: string }): Keys {
  const { protocol, hostname, host, href } = new URL(url);
  const loopback = ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  if (protocol !== "https:" && !(protocol === "http:" && (loopback || insecure))) {
    throw new Error(`the key set at ${host} must be fetched over https`);
  }

  let set: ReturnType<typeof createLocalJWKSet> | undefined;
  let version = 0;
  let freshUntilMs = 0;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let pending: Promise<Outcome> | undefined;
  const closing = new AbortController();

  const load = async (): Promise<Outcome> => {
    let stage = "request";
    try {
      const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(KEY_SET_TIMEOUT_MS)]);
      const headers = { accept: "application/json, application/jwk-set+json" };
      const response = await fetch(href, { redirect: "error", signal, headers });
      stage = `status ${response.status}`;
      const text = await boundedText(response);
      if (response.status !== 200) throw new Error("no key set");
      stage = "content";
      set = createLocalJWKSet(JSON.parse(text) as JSONWebKeySet);
      version++;
      freshUntilMs = now() + JWKS_FRESH_MS;
      return "fetched";
    } catch (error) {
      // Only the error's name: messages of some runtimes hold the whole address.
      const why = error instanceof Error ? error.name : "unknown";
      if (!closing.signal.aborted) {
        log.warn("token key set not fetched", { host, stage, why, keepingOld: set !== undefined });
      }
      return "failed";
    }
  };

  const refresh = async (): Promise<Outcome> => {
    if (pending) return await pending;
    if (closing.signal.aborted || now() < triedAtMs + JWKS_COOLDOWN_MS) return "cooling";
    triedAtMs = now();
    pending = load().finally(() => {
      pending = undefined;
    });
    return await pending;
  };

  return {
    async start() {
      await refresh();
    },
    close() {
      closing.abort();
    },
    async find(algorithm, kid) {
      let outcome: Outcome = "cooling";
      if (now() >= freshUntilMs) outcome = await refresh();
      let keys = set ? await candidates(set, algorithm, kid) : [];
      if (keys.length === 0 && outcome !== "fetched") {
        outcome = await refresh();
        if (set) keys = await candidates(set, algorithm, kid);
      }
      // The key may be a new one that we were not allowed, or able, to look for: the client should come back.
      if (keys.length === 0 && outcome !== "fetched") {
        throw new CommandError(Errors.internal, "token key unknown, and its key set cannot be fetched now");
      }
      return keys;
    },
    get version() {
      return version;
    },
    get freshUntilMs() {
      return freshUntilMs;
    },
  };
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
