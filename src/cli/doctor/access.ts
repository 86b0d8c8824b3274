import type { Algorithm, Fetch, Issuer, Keys } from "../../auth/jwt/issuer.ts";
import { keysOf } from "../../auth/jwt/keys.ts";
import type { Config } from "../../config.ts";
import { CommandError } from "../../core/errors.ts";
import { silent } from "../../core/log.ts";
import { utf8Encoder } from "../../core/text.ts";
import { tokenIssuers } from "../drivers.ts";
import type { Finding } from "./report.ts";

/** Checks who gets in: keys of tokens, keys of the server API, origins. */
export async function checkAccess(config: Config): Promise<Finding[]> {
  const issuers = tokenIssuers(config);
  const keys = await Promise.all(issuers.map((issuer) => checkIssuer(issuer, config.insecure)));
  return [...(issuers.length > 0 ? keys : withoutKeys(config)), checkApi(config), ...checkOrigins(config)];
}

async function checkIssuer(issuer: Issuer, insecure: boolean): Promise<Finding> {
  const { check, what } = nameOf(issuer);
  const exchange: Exchange = {};
  let keys: Keys | undefined;
  try {
    keys = keysOf(issuer, { insecure, log: silent, now: Date.now, fetch: observed(exchange) });
    await keys.start();
    const usable = await usableFor(issuer.algorithms, keys);
    if (usable.length > 0) return { check, verdict: "ok", what: `${what}, for ${usable.join(", ")}` };
  } catch (error) {
    // Texts of auth/keys.ts, which name the mistake and never the key.
    return { check, verdict: "failed", what: `${what} cannot be used`, cause: (error as Error).message };
  } finally {
    keys?.close();
  }
  // Fixed keys that fit no algorithm have failed to start: this is a key set.
  const fix = `curl -fsS ${bare(issuer.jwksUrl ?? "")}`;
  if (keys.version > 0) {
    const cause = `none of its keys fits ${issuer.algorithms.join(", ")}`;
    return { check, verdict: "failed", what: `${what} holds no usable key`, cause, fix };
  }
  const cause = exchange.failure ?? `it answers ${exchange.status}, and no key set`;
  return { check, verdict: "failed", what: `no ${what}`, cause, fix };
}

async function usableFor(algorithms: readonly Algorithm[], keys: Keys): Promise<Algorithm[]> {
  const usable: Algorithm[] = [];
  for (const algorithm of algorithms) {
    try {
      if ((await keys.find(algorithm, undefined)).length > 0) usable.push(algorithm);
    } catch (error) {
      // A key set that has none, and may not be asked again so soon.
      if (!(error instanceof CommandError)) throw error;
    }
  }
  return usable;
}

function nameOf({ issuer, secret, publicKey, jwksUrl }: Issuer): { check: string; what: string } {
  const check = issuer === undefined ? "tokens" : `tokens of ${issuer}`;
  if (secret !== undefined) return { check, what: `a secret of ${utf8Encoder.encode(secret).length} bytes` };
  if (publicKey !== undefined) return { check, what: "a public key" };
  return { check, what: `key set from ${bare(jwksUrl ?? "")}` };
}

/** An address without its query, which may hold anything. */
function bare(url: string): string {
  return url.replace(/[?#].*$/s, "");
}

/** What came of a request: its answer's status, or the name of the error. */
interface Exchange {
  status?: number;
  failure?: string;
}

function observed(exchange: Exchange): Fetch {
  return async (url, init) => {
    try {
      const response = await fetch(url, init);
      exchange.status = response.status;
      return response;
    } catch (error) {
      const { code, name } = error as { code?: string; name: string };
      exchange.failure = `it does not answer (${code ?? name})`;
      throw error;
    }
  };
}

/** No key at all is a refusal of `serve` already, unless clients are let in otherwise. */
function* withoutKeys({ auth, insecure }: Config): Generator<Finding> {
  const check = "tokens";
  if (auth.connectCallout !== false) {
    const who =
      auth.connectCallout === true ? "the service on rtauth.connect" : `endpoint ${auth.connectCallout}`;
    yield { check, verdict: "ok", what: `no key: ${who} says who a client is` };
  } else if (auth.anonymous && !insecure) {
    yield {
      ...{ check, verdict: "warning", what: "no key: every client is anonymous" },
      cause: "nobody has a name, an inbox, or rights of their own",
      fix: "TRUNKLINE_TOKEN_SECRET=$(openssl rand -hex 32)",
    };
  }
}

function checkApi({ api, nats }: Config): Finding {
  const check = "api keys";
  if (api.keys.length > 0) return { check, verdict: "ok", what: `${api.keys.length} configured` };
  if (nats.urls.length > 0) {
    return { check, verdict: "ok", what: "none: the server API is closed, services publish over NATS" };
  }
  return {
    ...{ check, verdict: "warning", what: "none: the server API is closed" },
    cause: "without NATS, services have no other way to publish",
    fix: "TRUNKLINE_API_KEYS=$(openssl rand -hex 32)",
  };
}

function* checkOrigins({ http, insecure }: Config): Generator<Finding> {
  const check = "origins";
  const fix = "TRUNKLINE_ALLOWED_ORIGINS=https://app.example.com";
  if (insecure) {
    yield {
      ...{ check: "insecure", verdict: "warning", what: "clients without any credentials may do everything" },
      cause: "TRUNKLINE_INSECURE is for development only",
      fix: "unset TRUNKLINE_INSECURE",
    };
  }
  if (http.allowedOrigins.includes("*")) {
    const cause = "any web page may connect with its visitor's token, where it can get hold of one";
    yield { check, verdict: "warning", what: "every web page may connect", cause, fix };
  } else if (http.allowedOrigins.length === 0) {
    const cause = "http.allowedOrigins is empty: apps and services come in, pages of other hosts are refused";
    yield { check, verdict: "warning", what: "only pages of this very host may connect", cause, fix };
  } else yield { check, verdict: "ok", what: http.allowedOrigins.join(", ") };
}
