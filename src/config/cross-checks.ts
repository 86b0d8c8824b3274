import { DEFAULT_NAMESPACE, USER_NAMESPACE } from "../core/channel.ts";
import { calloutChecks } from "./callout-checks.ts";
import { exampleSecrets } from "./example-secrets.ts";
import { isPrivate } from "./issuers.ts";
import type { Config } from "./table.ts";
import { formatSize } from "./units.ts";

/** Longest name of an instance, as the settings table has it. */
const INSTANCE_ID_CHARS = 64;

/** What single values cannot show to be wrong. Every text names the keys and holds no value of a secret. */
export function* crossChecks(config: Config): Generator<string> {
  const { nats, limits, ping, channels } = config;
  yield* storeChecks(config);
  yield* tlsChecks(config);
  if (ping.pongTimeoutMs >= ping.intervalMs) yield "ping.pongTimeout: it must be shorter than ping.interval";
  if (limits.bytesPerSecond > 0 && limits.bytesPerSecond * 2 < limits.frameBytes) {
    yield "limits.bytesPerSecond: twice of it must be at least limits.frame, or the longest frame never fits";
  }
  if (config.proxy.protocol && config.proxy.cidrs.length === 0) {
    yield "proxy.protocol: whoever connects could name any address; set proxy.cidrs to the balancers' addresses";
  }
  if (config.workers > 1 && nats.urls.length === 0) {
    yield "workers: with the embedded broker each worker would be an island; set nats.urls (NATS_URL) for all of them, " +
      "or workers to 1";
  }
  if (config.instanceId.length + `-${config.workers}`.length > INSTANCE_ID_CHARS && config.workers > 1) {
    yield `instanceId: workers add their number to it, and more than ${INSTANCE_ID_CHARS} characters are too many`;
  }
  if (config.admin.port > 0 && config.admin.port + config.workers > 65_535) {
    yield "admin.port: there is no room above it for a port for each worker";
  }
  const longest = Math.max(...[...config.namespaces.values()].map((rules) => rules.maxMessageBytes));
  if (limits.backpressureBytes < 2 * longest) {
    yield `limits.backpressure: it must be at least ${formatSize(2 * longest)}, twice the longest message of a namespace`;
  }
  for (const channel of channels.everyone) {
    const colon = channel.indexOf(":");
    const namespace = colon < 0 ? DEFAULT_NAMESPACE : channel.slice(0, colon).replace(/^\$/, "");
    if (namespace === USER_NAMESPACE || !config.namespaces.has(namespace)) {
      yield `channels.everyone: ${channel} is in no namespace everyone may be subscribed to`;
    }
  }
  yield* consoleChecks(config);
  yield* appCrossChecks(config);
  yield* endpointCrossChecks(config);
  yield* calloutChecks(config);
  if (channels.ringBytes > channels.ringTotalBytes)
    yield "channels.ring: it must be at most channels.ringTotal";
}

/** Whose console it is must be clear from the name and from the secret alone. */
function* consoleChecks({ console }: Config): Generator<string> {
  const tokens = console.tokens.map((token) => token.split(":"));
  for (const [part, what] of [
    [0, "name"],
    [2, "secret"],
  ] as const) {
    const all = tokens.map((token) => (part === 2 ? token.slice(2).join(":") : token[part]));
    if (new Set(all).size < all.length) yield `console.tokens: two have the same ${what}`;
  }
}

/** How NATS, Redis and key sets are reached. */
function* storeChecks(config: Config): Generator<string> {
  const { nats, upstash, redis, presence } = config;
  const waysIn = [
    nats.user !== undefined && "nats.user",
    nats.token !== undefined && "nats.token",
    nats.credentials !== undefined && "nats.credentials",
    nats.credentialsFile !== undefined && "nats.credentialsFile",
    nats.nkeySeedFile !== undefined && "nats.nkeySeedFile",
  ].filter((key) => key !== false);
  if (waysIn.length > 1)
    yield `${waysIn.join(" and ")}: only one way to log in to NATS can be used; remove the others`;
  if (waysIn.length > 0 && nats.urls.length === 0)
    yield `${waysIn[0]}: it does nothing without nats.urls (NATS_URL)`;
  if ((nats.user === undefined) !== (nats.password === undefined)) {
    yield "nats.user and nats.password: one needs the other (TRUNKLINE_NATS_USER, TRUNKLINE_NATS_PASSWORD)";
  }

  if ((upstash.url === undefined) !== (upstash.token === undefined)) {
    yield "upstash.url and upstash.token: one needs the other (UPSTASH_REDIS_REST_URL, UPSTASH_REDIS_REST_TOKEN)";
  }
  if (upstash.url !== undefined && redis.url !== undefined) {
    yield "redis.url and upstash.url: presence lives in one Redis; unset REDIS_URL, or both UPSTASH_REDIS_REST_…";
  }
  if (redis.sentinelPassword !== undefined && !/^rediss?-sentinel:/.test(redis.url ?? "")) {
    yield "redis.sentinelPassword: it does nothing without a redis.url that begins with redis-sentinel://";
  }
  if (redis.sentinelUser !== undefined && redis.sentinelPassword === undefined) {
    yield "redis.sentinelUser: it needs redis.sentinelPassword (TRUNKLINE_REDIS_SENTINEL_PASSWORD)";
  }
  if (/[{}]/.test(redis.prefix) && /^rediss?-cluster:/.test(redis.url ?? "")) {
    yield "redis.prefix: braces in it would put everything on one node of the cluster; leave them out";
  }
  if (presence.leaseRenewMs * 2 > presence.leaseTtlMs) {
    yield "presence.leaseRenew: it must be at most half of presence.leaseTtl, so that one lost renewal kills nobody";
  }

  const keySets = [config.auth.tokenJwksUrl, ...config.auth.issuers.map((issuer) => issuer.jwksUrl)];
  if (!config.insecure && keySets.some((url) => url !== undefined && !isPrivate(url))) {
    yield "auth.tokenJwksUrl and auth.issuers: keys fetched over http:// could be anybody's; use https://";
  }
}

/** Certificates and their keys. */
function* tlsChecks({ tls, nats, redis, upstash }: Config): Generator<string> {
  if (tls.certFile !== undefined && tls.cert !== undefined)
    yield "tls.certFile and tls.cert: only one certificate can be used";
  if (tls.keyFile !== undefined && tls.key !== undefined)
    yield "tls.keyFile and tls.key: only one key can be used";
  if ((tls.certFile ?? tls.cert) === undefined && (tls.keyFile ?? tls.key) !== undefined) {
    yield "tls.key: it does nothing without a certificate; set tls.certFile (TRUNKLINE_TLS_CERT_FILE) or tls.cert";
  }
  if ((tls.certFile ?? tls.cert) !== undefined && (tls.keyFile ?? tls.key) === undefined) {
    yield "tls.cert: it needs its private key; set tls.keyFile (TRUNKLINE_TLS_KEY_FILE) or tls.key";
  }
  for (const [key, { tlsCertFile, tlsKeyFile }] of Object.entries({ nats, redis })) {
    if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined)) {
      yield `${key}.tlsCertFile and ${key}.tlsKeyFile: one needs the other`;
    }
  }
  if (redis.tlsCaFile !== undefined && !redis.url?.startsWith("rediss")) {
    yield "redis.tlsCaFile: it does nothing without a redis.url that begins with rediss://";
  }
  if (upstash.tlsCaFile !== undefined && !upstash.url?.startsWith("https:")) {
    yield "upstash.tlsCaFile: it does nothing without an upstash.url that begins with https://";
  }
}

function* appCrossChecks({ apps, namespaces, insecure }: Config): Generator<string> {
  for (const { id, namespace, webhooks } of apps) {
    const rules = namespaces.get(namespace);
    if (namespace === USER_NAMESPACE) yield `apps.${id}: the namespace ${namespace} is not for apps`;
    else if (!rules) yield `apps.${id}: there is no namespace ${namespace}`;
    else if (webhooks.length > 0 && !rules.presence) {
      yield `apps.${id}.webhooks: who comes and goes is known with "presence": true in namespace ${namespace} only`;
    }
    if (!insecure && webhooks.some(({ url }) => !isPrivate(url))) {
      yield `apps.${id}.webhooks: events sent to http:// can be read on their way; use https://`;
    }
    if (new Set(webhooks.map(({ url }) => url)).size < webhooks.length) {
      yield `apps.${id}.webhooks: two have the same url; name all their events in one`;
    }
  }
  const names = {
    id: apps.map(({ id }) => id),
    key: apps.flatMap(({ keys }) => keys.map(({ key }) => key)),
    namespace: apps.map(({ namespace }) => namespace),
  };
  for (const [what, all] of Object.entries(names)) {
    for (const name of new Set(all.filter((one, at) => all.indexOf(one) < at))) {
      yield `apps: two have the ${what} ${name}`;
    }
  }
}

function* endpointCrossChecks({ webhooks, insecure }: Config): Generator<string> {
  const { endpoints } = webhooks;
  for (const { name, url } of endpoints) {
    if (!insecure && !isPrivate(url))
      yield `webhooks.endpoints.${name}: events sent to http:// can be read on their way; use https://`;
    if (endpoints.filter((other) => other.name === name).length > 1)
      yield `webhooks.endpoints: two have the name ${name}`;
  }
}

/** Why `trunkline serve` does not start with otherwise flawless settings; each says what to set. */
export function* startRefusals(config: Config): Generator<string> {
  const { auth } = config;
  if (!config.insecure) yield* exampleSecrets(config);
  if (config.insecure || auth.anonymous || auth.connectCallout !== false) return;
  const keys = [auth.tokenSecret, auth.tokenPublicKey, auth.tokenJwksUrl, ...auth.issuers];
  if (keys.some((key) => key !== undefined)) return;
  yield "auth: there is no key to check clients' tokens with. Set one of\n" +
    "    TRUNKLINE_TOKEN_SECRET=$(openssl rand -hex 32)   and sign tokens with it\n" +
    "    TRUNKLINE_TOKEN_JWKS_URL=https://…               where your identity provider publishes its keys\n" +
    "    TRUNKLINE_TOKEN_PUBLIC_KEY=…                     a public key in PEM form\n" +
    "    TRUNKLINE_CONNECT_CALLOUT=true                   a service on rtauth.connect decides, or an HTTP endpoint of that name\n" +
    "    TRUNKLINE_ANONYMOUS=true                         clients without tokens, with the namespaces' rules\n" +
    "  or, to try things out on this machine: trunkline dev";
}
