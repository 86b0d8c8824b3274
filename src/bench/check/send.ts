import { parseChannel } from "../../core/channel.ts";
import { subjects } from "../../core/subject.ts";
import type { NatsConnection } from "../../nats/client.ts";
import type { Numbered, Stored } from "./messages.ts";

/** Publishes a message; resolves when it is stored. A message that is sent again keeps its id. */
export interface Sender extends AsyncDisposable {
  /** Resolves to where it is stored. @throws Error if no server confirmed that it is */
  send(channel: string, body: Numbered, id: string): Promise<Stored>;
}

const TIMEOUT_MS = 5_000;

/**
 * Publishes through the server API, and moves to the next instance when one does not answer. @param urls
 * http(s)://host:port
 */
export function apiSender(urls: readonly string[], apiKey: string): Sender {
  let at = 0;
  return {
    async send(channel, data, id) {
      const asked = at;
      try {
        const response = await fetch(`${urls[asked % urls.length]}/api/publish`, {
          method: "POST",
          headers: { "content-type": "application/json", "x-api-key": apiKey },
          body: JSON.stringify({ channel, data, idempotency_key: id }),
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        const text = await response.text();
        if (!response.ok) throw new Error(`HTTP ${response.status} ${text.slice(0, 200)}`);
        const { result, error } = JSON.parse(text) as {
          result?: { offset?: number };
          error?: { code: number; message: string };
        };
        if (error) throw new Error(`${error.code} ${error.message}`);
        return { offset: result?.offset ?? 0 };
      } catch (error) {
        if (at === asked) at++;
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** Publishes over plain NATS, as any service would. @param connect opens a connection that is the sender's own */
export async function natsSender(connect: () => Promise<NatsConnection>, root: string): Promise<Sender> {
  const names = subjects(root);
  const connection = await connect();
  const js = connection.jetstream();
  return {
    async send(channel, body, id) {
      const subject = names.message(parseChannel(channel));
      const ack = await js.publish(subject, JSON.stringify(body), { msgID: id, timeout: TIMEOUT_MS });
      // Before 2.11 a server may refuse a message as a duplicate although it never stored it.
      if (ack.duplicate && ack.seq === 0) throw new Error("a duplicate of what was never stored");
      return { sequence: ack.seq };
    },
    [Symbol.asyncDispose]: () => connection.close(),
  };
}
