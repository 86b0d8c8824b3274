/** What a `redis.url` says. */
export type RedisAddress =
  /** One server. */
  | { readonly kind: "server"; readonly url: string }
  /** Whichever server the sentinels call the master. */
  | (Login & {
      readonly kind: "sentinel";
      readonly sentinels: readonly RedisHost[];
      readonly master: string;
      readonly database: number;
    })
  /** A cluster, known by some of its nodes. */
  | (Login & { readonly kind: "cluster"; readonly nodes: readonly RedisHost[] });

interface Login {
  readonly tls: boolean;
  /** Empty: none, or the default user. */
  readonly user: string;
  readonly password: string;
}

export interface RedisHost {
  readonly host: string;
  readonly port: number;
}

/** What a `redis.url` may look like, for people. */
export const REDIS_URLS =
  "a URL such as redis://host:6379, redis-sentinel://host:26379,host:26379/mymaster or redis-cluster://host:6379,host:6379 (rediss… with TLS)";

const MANY = /^(rediss?)-(sentinel|cluster):\/\/(?:([^@/\s]*)@)?([^@/?#\s]+)(?:\/([^?#\s]*))?$/;
const HOST = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/;
const MASTER = /^([A-Za-z0-9._-]+)(?:\/(\d{1,4}))?$/;

/** Reads a `redis.url`; `undefined` when it is none. */
export function redisAddress(url: string): RedisAddress | undefined {
  if (/^rediss?:\/\/\S+$/.test(url)) return { kind: "server", url };
  const [, scheme, kind, login = "", authority = "", path = ""] = MANY.exec(url) ?? [];
  if (kind === undefined) return undefined;
  const hosts = authority.split(",").map((text) => hostOf(text, kind === "sentinel" ? 26_379 : 6_379));
  const [user, ...password] = login.split(":");
  const common = {
    tls: scheme === "rediss",
    user: decoded(user ?? ""),
    password: decoded(password.join(":")),
  };
  if (!hosts.every((host) => host !== undefined)) return undefined;
  if (common.user === undefined || common.password === undefined) return undefined;
  const who = { ...common, user: common.user, password: common.password };
  if (kind === "cluster") return path === "" ? { kind, ...who, nodes: hosts } : undefined;
  const [, master, database = "0"] = MASTER.exec(path) ?? [];
  if (master === undefined) return undefined;
  return { kind: "sentinel", ...who, sentinels: hosts, master, database: Number(database) };
}

/** A host and port as one text, as it stands in URLs. */
export function hostText({ host, port }: RedisHost): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function hostOf(text: string, fallback: number): RedisHost | undefined {
  const [, six, name, digits] = HOST.exec(text) ?? [];
  const [host, port] = [six ?? name, digits === undefined ? fallback : Number(digits)];
  return host === undefined || port === 0 || port > 65_535 ? undefined : { host, port };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
