import { Redis, type RedisOptions } from "ioredis";
import type { RedisLink, Reply } from "./link.ts";
import { LinkError, ReplyError } from "./link.ts";
import { SentinelWatch } from "./sentinel-watch.ts";

type Certificates = { readonly ca?: string; readonly cert?: string; readonly key?: string };

interface RespOptions {
  /** `redis://` or `rediss://`, with user and password if needed. */
  readonly url: string;
  /** Certificates (PEM) of `rediss://`; asked for at every connect, so that renewed ones are in effect. MUST NOT throw. */
  readonly tls?: () => Certificates;
}

/** Whoever the sentinels call the master of a name. */
export interface SentinelOptions {
  readonly sentinels: readonly { readonly host: string; readonly port: number }[];
  readonly master: string;
  readonly database: number;
  /** For the master and for the sentinels; empty: none, or the default user. */
  readonly login: { readonly user: string; readonly password: string };
  readonly sentinelLogin: { readonly user: string; readonly password: string };
  /** Of both, as above. Without it they are reached in plain text. */
  readonly tls?: () => Certificates;
}

const COMMON = {
  lazyConnect: true,
  // Nothing is kept for later or sent again, and connecting again is asked for by the next send.
  retryStrategy: null,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  enableReadyCheck: false,
  // Maps as flat arrays, which is what REST answers too.
  protocol: 2,
  disableClientInfo: true,
} as const satisfies RedisOptions;

/** How long one sentinel may take before the next one is asked, ms. */
const SENTINEL_TIMEOUT_MS = 500;
const CONNECT_TIMEOUT_MS = 1_000;

/** Redis or Valkey over RESP, one connection. */
export function respLink({ url, tls }: RespOptions): RedisLink {
  const { protocol } = URL.parse(url) ?? {};
  if (protocol !== "redis:" && protocol !== "rediss:") throw new TypeError("REDIS_URL is not a redis:// URL");
  const client = new Redis(url, { ...COMMON, ...(tls && { tls: tls() }) });
  return linkOver(client, () => {
    if (tls) client.options.tls = tls();
  });
}

/**
 * The master that sentinels name, over RESP, one connection. They are asked at every connect, and one of them is
 * listened to: after a failover the connection to the old master is dropped, and connecting again leads to the new one.
 */
export function sentinelLink(options: SentinelOptions): RedisLink {
  const { sentinels, master, database, login, sentinelLogin, tls } = options;
  const secure = () => ({ tls: tls!(), sentinelTLS: tls!(), enableTLSForSentinelMode: true });
  const client = new Redis({
    ...COMMON,
    sentinels: sentinels.map(({ host, port }) => ({ host, port })),
    name: master,
    db: database,
    ...(login.user !== "" && { username: login.user }),
    ...(login.password !== "" && { password: login.password }),
    ...(sentinelLogin.user !== "" && { sentinelUsername: sentinelLogin.user }),
    ...(sentinelLogin.password !== "" && { sentinelPassword: sentinelLogin.password }),
    sentinelRetryStrategy: () => null,
    sentinelCommandTimeout: SENTINEL_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    ...(tls && secure()),
  });
  const ways = sentinels.map(
    ({ host, port }): RedisOptions => ({
      ...{ ...COMMON, host, port, connectTimeout: CONNECT_TIMEOUT_MS },
      ...(sentinelLogin.user !== "" && { username: sentinelLogin.user }),
      ...(sentinelLogin.password !== "" && { password: sentinelLogin.password }),
      ...(tls && { tls: tls() }),
    }),
  );
  const watch = new SentinelWatch(ways, master, () => client.disconnect());
  const link = linkOver(client, () => {
    if (tls) Object.assign(client.options, secure());
    watch.start();
  });
  return {
    ...link,
    close() {
      watch.close();
      link.close();
    },
  };
}

/** @param prepare called before each connect */
function linkOver(client: Redis, prepare: () => void): RedisLink {
  // A failed connect rejects with a plain "closed"; why is only told here.
  let cause: unknown;
  client.on("error", (error) => {
    cause = error;
  });
  let connecting: Promise<void> | undefined;
  let closed = false;

  const connect = (): Promise<void> => {
    if (!connecting) prepare();
    connecting ??= client
      .connect()
      .catch(() => {
        throw new LinkError("refused", reason(cause));
      })
      .finally(() => {
        connecting = undefined;
      });
    return connecting;
  };

  return {
    async send(commands, timeoutMs) {
      if (closed) throw new LinkError("refused", "closed");
      const { promise: deadline, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(() => reject(new LinkError("timeout")), timeoutMs);
      try {
        if (client.status !== "ready") await Promise.race([connect(), deadline]);
        const pipeline = client.pipeline();
        for (const [name, ...args] of commands) pipeline.call(String(name), ...args);
        const items = await Promise.race([pipeline.exec(), deadline]);
        if (!items) throw new LinkError("broken");
        return items.map(([error, result]) => (error ? failed(error) : (result as Reply)));
      } finally {
        clearTimeout(timer);
      }
    },
    reset: () => client.disconnect(),
    close() {
      closed = true;
      client.disconnect();
    },
  };
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return "";
  return error.name === "ReplyError"
    ? new ReplyError(error.message).code
    : String(Reflect.get(error, "code") ?? "");
}

function failed(error: Error): ReplyError {
  if (error.name === "ReplyError") return new ReplyError(error.message);
  throw new LinkError("broken");
}
