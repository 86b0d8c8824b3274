import { Redis } from "@upstash/redis";
import type { Command, RedisLink, Reply } from "./link.ts";
import { LinkError, ReplyError } from "./link.ts";

/** Redis over Upstash's REST API. `url` and `token` are `UPSTASH_REDIS_REST_URL` and `UPSTASH_REDIS_REST_TOKEN`. */
export function upstashLink(options: { readonly url: string; readonly token: string }): RedisLink {
  let timeoutMs = 0;
  let closed = false;
  const client = new PipelineClient({
    url: restUrl(options.url),
    token: options.token,
    // The defaults would send a failed pipeline up to five times more, split reads from writes, turn "1" into 1 and
    // wait for ever; and a signal that is not a function turns a time-out into an empty success.
    retry: { retries: 0 },
    enableAutoPipelining: false,
    automaticDeserialization: false,
    enableTelemetry: false,
    signal: () => AbortSignal.timeout(timeoutMs),
  });
  return {
    async send(commands, callTimeoutMs) {
      if (closed) throw new LinkError("refused", "closed");
      timeoutMs = callTimeoutMs;
      let items: unknown;
      try {
        items = await client.exchange(commands);
      } catch (error) {
        throw linkError(error);
      }
      if (!Array.isArray(items) || items.length !== commands.length) throw new LinkError("answer");
      return items.map(reply);
    },
    reset() {},
    close() {
      closed = true;
    },
  };
}

/** The library's pipeline takes typed commands and reshapes their answers; the driver wants both as they are. */
class PipelineClient extends Redis {
  exchange(commands: readonly Command[]): Promise<unknown> {
    return this.client.request({ path: ["pipeline"], body: commands as unknown[] });
  }
}

function restUrl(url: string): string {
  const { protocol } = URL.parse(url) ?? {};
  if (protocol === "https:" || protocol === "http:") return url;
  throw new TypeError("UPSTASH_REDIS_REST_URL is not an http(s) URL");
}

function reply(item: { result?: Reply; error?: string }): Reply {
  return item.error === undefined ? (item.result ?? null) : new ReplyError(item.error);
}

function linkError(error: unknown): LinkError {
  if (!(error instanceof Error)) return new LinkError("broken");
  if (error.name === "TimeoutError") return new LinkError("timeout");
  // Its text is what the server said, followed by the whole command.
  if (error.name === "UpstashError") return new LinkError("answer", new ReplyError(error.message).code);
  if (error.name === "UpstashJSONParseError") return new LinkError("answer", "no_json");
  return new LinkError("broken", String(Reflect.get(error, "code") ?? error.name));
}
