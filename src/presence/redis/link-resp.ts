import { Redis } from "ioredis";
import type { RedisLink, Reply } from "./link.ts";
import { LinkError, ReplyError } from "./link.ts";

interface RespOptions {
  /** `redis://` or `rediss://`, with user and password if needed. */
  readonly url: string;
  /** Certificates (PEM) of `rediss://`; asked for at every connect, so that renewed ones are in effect. MUST NOT throw. */
  readonly tls?: () => { readonly ca?: string; readonly cert?: string; readonly key?: string };
}

/** Redis or Valkey over RESP, one connection. */
export function respLink(options: RespOptions): RedisLink {
  const { protocol } = URL.parse(options.url) ?? {};
  if (protocol !== "redis:" && protocol !== "rediss:") throw new TypeError("REDIS_URL is not a redis:// URL");
  const client = new Redis(options.url, {
    lazyConnect: true,
    ...(options.tls && { tls: options.tls() }),
    // Nothing is kept for later or sent again, and connecting again is asked for by the next send.
    retryStrategy: null,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    // Maps as flat arrays, which is what REST answers too.
    protocol: 2,
    disableClientInfo: true,
  });
  // A failed connect rejects with a plain "closed"; why is only told here.
  let cause: unknown;
  client.on("error", (error) => {
    cause = error;
  });
  let connecting: Promise<void> | undefined;
  let closed = false;

  const connect = (): Promise<void> => {
    if (options.tls && !connecting) client.options.tls = options.tls();
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
