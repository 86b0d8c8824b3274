import { readFileSync } from "node:fs";
import type { HttpEndpoint } from "../auth/callout/http.ts";
import { type Issuer, PUBLIC_KEY_ALGORITHMS, SECRET_ALGORITHMS } from "../auth/jwt/issuer.ts";
import { connectPlainly, eachServer, type NatsAddress } from "../broker/nats/link/link.ts";
import { hostText, redisAddress } from "../config/redis-url.ts";
import { type Config, loadConfig } from "../config.ts";
import { subjects } from "../core/subject.ts";
import type { NatsConnection } from "../nats/client.ts";
import type { RedisLink } from "../presence/redis/link.ts";
import { type ClusterLink, clusterLink } from "../presence/redis/link-cluster.ts";
import { respLink, sentinelLink } from "../presence/redis/link-resp.ts";
import { upstashLink } from "../presence/redis/link-upstash.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { readText } from "./certificate.ts";
import { rolesOf } from "./nats/roles.ts";
import { UserError } from "./output.ts";

/** The backends that are asked over HTTP. */
export function httpEndpoints({ callouts }: Config): HttpEndpoint[] {
  return Object.entries(callouts.endpoints).map(([name, endpoint]) => ({
    ...endpoint,
    name,
    statuses: new Map(endpoint.statuses.map(({ status, ...meaning }) => [status, meaning])),
  }));
}

/** Where NATS is and how to log in, as the settings have it. @throws UserError when a credentials file is unreadable */
export function natsAddress({ nats }: Config): NatsAddress {
  const credentials = nats.credentials
    ? () => nats.credentials!
    : fileText("nats.credentialsFile", nats.credentialsFile);
  const nkeySeed = fileText("nats.nkeySeedFile", nats.nkeySeedFile);
  return {
    servers: nats.urls,
    inbox: nats.inbox ?? subjects(nats.root).inbox("gateway"),
    ...(nats.user && { user: nats.user }),
    ...(nats.password && { password: nats.password }),
    ...(nats.token && { token: nats.token }),
    ...(credentials && { credentials }),
    ...(nkeySeed && { nkeySeed: () => nkeySeed().trim() }),
    ...(tlsTexts("nats", nats) && { tls: tlsFiles(nats) }),
  };
}

/** How programs that are services to an instance reach its NATS, with the login that `serve` takes. */
export interface NatsAccess {
  /** First token of the subjects. */
  readonly root: string;
  /** Opens a connection of the caller's own. @throws NatsError */
  connect(): Promise<NatsConnection>;
}

const NATS_VARIABLE =
  /^TRUNKLINE_NATS_(USER|PASSWORD|PASSWORD_FILE|TOKEN|TOKEN_FILE|CREDENTIALS|CREDENTIALS_FILE|INBOX|NKEY_SEED_FILE|TLS_CA_FILE|TLS_CERT_FILE|TLS_KEY_FILE|ROOT)$/;
const LOGIN_VARIABLE = /^TRUNKLINE_NATS_(?!ROOT$|INBOX$|TLS_)/;

/**
 * The NATS of the environment. @param servers addresses with commas between them; a login in one of them counts, and the
 * environment's does not then. @throws UserError
 */
export async function natsOfEnvironment(
  servers: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<NatsAccess> {
  const own = servers.includes("@");
  const names = Object.keys(env).filter(
    (name) => NATS_VARIABLE.test(name) && !(own && LOGIN_VARIABLE.test(name)),
  );
  const given = Object.fromEntries(names.map((name) => [name, env[name]]));
  const readSecret = (path: string) => readFileSync(path, "utf8");
  const result = loadConfig({ env: { ...given, NATS_URL: servers }, readSecret });
  if (result.problems) throw new UserError(`NATS: ${result.problems.join("; ")}`);
  const { nats } = result.config;
  const address = natsAddress(result.config);
  // A login of another role has an inbox of its own.
  const user = eachServer(address)[0]?.user;
  const role = rolesOf(subjects(nats.root)).find(({ name }) => name === user);
  const inbox = nats.inbox ?? role?.inbox ?? address.inbox;
  return { root: nats.root, connect: () => connectPlainly({ ...address, inbox }, "trunkline bench") };
}

/** A way to the Redis of presence: one keyspace, or a cluster's nodes. */
export type RedisWay = { readonly link: RedisLink } | { readonly cluster: ClusterLink };

/** The way to the Redis the settings name, if they name one. Nothing is connected yet. @throws UserError */
export function redisWay(
  { redis, upstash }: Config,
  runtime: Pick<Runtime, "fetchTrusting">,
): RedisWay | undefined {
  if (upstash.url && upstash.token) {
    const { url, token, tlsCaFile } = upstash;
    const trusting = tlsCaFile && runtime.fetchTrusting(readText("upstash.tlsCaFile", tlsCaFile));
    return { link: upstashLink({ url, token, ...(trusting && { fetch: trusting }) }) };
  }
  const address = redis.url === undefined ? undefined : redisAddress(redis.url);
  if (!address) return undefined;
  const files = tlsTexts("redis", redis);
  if (address.kind === "server") {
    return { link: respLink({ url: address.url, ...(files && { tls: files }) }) };
  }
  const tls = address.tls ? { tls: files ?? (() => ({})) } : {};
  if (address.kind === "sentinel") {
    const { sentinels, master, database, user, password } = address;
    const sentinelLogin = { user: redis.sentinelUser ?? "", password: redis.sentinelPassword ?? "" };
    const login = { user, password };
    return { link: sentinelLink({ sentinels, master, database, login, sentinelLogin, ...tls }) };
  }
  const seeds = address.nodes.map(hostText);
  const connect = (node: string) => respLink({ url: nodeUrl(node, address), ...tls });
  return { cluster: clusterLink({ seeds, connect }) };
}

/** The ways to the sentinels themselves, each with a connection of its own; `undefined` where there are none. */
export function sentinelLinks({ redis }: Config): SentinelWays | undefined {
  const address = redis.url === undefined ? undefined : redisAddress(redis.url);
  if (address?.kind !== "sentinel") return undefined;
  const { sentinels, master, tls } = address;
  const login = { user: redis.sentinelUser ?? "", password: redis.sentinelPassword ?? "" };
  const files = tls ? { tls: tlsTexts("redis", redis) ?? (() => ({})) } : {};
  const links = sentinels.map((sentinel) => {
    const where = hostText(sentinel);
    return { where, link: respLink({ url: nodeUrl(where, { ...login, tls }), ...files }) };
  });
  return { master, links };
}

interface SentinelWays {
  readonly master: string;
  readonly links: readonly { readonly where: string; readonly link: RedisLink }[];
}

/** @param node host and port */
function nodeUrl(node: string, { tls, user, password }: RedisLogin): string {
  const login =
    user === "" && password === "" ? "" : `${[user, password].map(encodeURIComponent).join(":")}@`;
  return `${tls ? "rediss" : "redis"}://${login}${node}`;
}

interface RedisLogin {
  readonly tls: boolean;
  readonly user: string;
  readonly password: string;
}

/** The short forms of the settings and the issuers of the file, as the authenticator takes them. */
export function tokenIssuers({ auth }: Config): Issuer[] {
  const { tokenSecret, tokenPublicKey, tokenJwksUrl } = auth;
  return [
    ...(tokenSecret ? [{ algorithms: SECRET_ALGORITHMS, secret: tokenSecret }] : []),
    ...(tokenPublicKey ? [{ algorithms: PUBLIC_KEY_ALGORITHMS, publicKey: tokenPublicKey }] : []),
    ...(tokenJwksUrl ? [{ algorithms: PUBLIC_KEY_ALGORITHMS, jwksUrl: tokenJwksUrl }] : []),
    ...auth.issuers,
  ];
}

interface TlsFiles {
  readonly tlsCaFile?: string | undefined;
  readonly tlsCertFile?: string | undefined;
  readonly tlsKeyFile?: string | undefined;
}

/** The files of a connection's certificates, under the names that the client of NATS has for them. */
function tlsFiles({ tlsCaFile, tlsCertFile, tlsKeyFile }: TlsFiles) {
  return {
    ...(tlsCaFile && { caFile: tlsCaFile }),
    ...(tlsCertFile && { certFile: tlsCertFile }),
    ...(tlsKeyFile && { keyFile: tlsKeyFile }),
  };
}

/** What is in these files now, when any are named. @throws UserError when one is unreadable, here and never later */
function tlsTexts(name: string, files: TlsFiles) {
  const ca = fileText(`${name}.tlsCaFile`, files.tlsCaFile);
  const cert = fileText(`${name}.tlsCertFile`, files.tlsCertFile);
  const key = fileText(`${name}.tlsKeyFile`, files.tlsKeyFile);
  if (!ca && !cert && !key) return undefined;
  return () => ({ ...(ca && { ca: ca() }), ...(cert && { cert: cert() }), ...(key && { key: key() }) });
}

/** What is in a file now; while it cannot be read, what was in it before. @throws UserError when it is unreadable at first */
function fileText(setting: string, path: string | undefined): (() => string) | undefined {
  if (!path) return undefined;
  let text = readText(setting, path);
  return () => {
    try {
      text = readText(setting, path);
    } catch {
      // Being replaced, perhaps.
    }
    return text;
  };
}
