import { parseChannel } from "../../core/channel.ts";
import { subjects } from "../../core/subject.ts";
import { offsetOf, tagOfText } from "../../core/tag.ts";
import type { NatsConnection, StoredMsg } from "../../nats/client.ts";
import type { StoreView } from "./compare.ts";
import type { Numbered } from "./messages.ts";

/** Reads everything that is kept in a channel. @throws Error when it cannot be read */
export type ReadStore = (channel: string) => Promise<StoreView>;

const TIMEOUT_MS = 10_000;
/** Most that one page of the server API has. */
const PAGE = 10_000;
const ATTEMPTS = 20;

export interface StreamAt {
  /** Which stream, by the name of the one that takes the channel's messages; default that one. A copy has another name. */
  readonly stream?: (own: string) => string;
  /** Asks whichever replica is next to the connection instead of the leader. */
  readonly nearest?: boolean;
}

/** Reads the stream itself: its leader, where it has replicas. The messages must have ids, as those of senders have. */
export function natsStore(
  connection: () => Promise<NatsConnection>,
  root: string,
  { stream = (own) => own, nearest = false }: StreamAt = {},
): ReadStore {
  const names = subjects(root);
  return async (channel) => {
    const nats = await connection();
    try {
      const jsm = await nats.jetstreamManager({ timeout: TIMEOUT_MS });
      const subject = names.message(parseChannel(channel));
      const name = stream(await jsm.streams.find(subject));
      const found: { offset: number; body: Numbered }[] = [];
      for (let seq = 1; ; ) {
        const query = { seq, next_by_subj: subject };
        const message = nearest
          ? await nearestMessage(nats, name, query)
          : await jsm.streams.getMessage(name, query as never).catch(orNone);
        if (!message) return found;
        const id = message.header.get("Nats-Msg-Id");
        found.push({ offset: offsetOf(message.seq, tagOfText(id)), body: message.json() });
        seq = message.seq + 1;
      }
    } finally {
      await nats.close();
    }
  };
}

/** A direct get: the server that the connection leads to answers it, if it has a replica. */
async function nearestMessage(
  nats: NatsConnection,
  stream: string,
  query: object,
): Promise<Pick<StoredMsg, "seq" | "header" | "json"> | null> {
  const subject = `$JS.API.DIRECT.GET.${stream}`;
  const answer = await nats.request(subject, JSON.stringify(query), { timeout: TIMEOUT_MS });
  const { headers } = answer;
  if (!headers || headers.code === 404) return null;
  if (headers.code >= 400) throw new Error(`${stream}: ${headers.code} ${headers.description}`);
  return { seq: Number(headers.get("Nats-Sequence")), header: headers, json: () => answer.json() };
}

/** There is no further message: newer clients answer `null`, older ones an error. @throws whatever else it is */
function orNone(error: Error & { code?: string }): null {
  if (error.code === "404" || /no message found|message not found/i.test(error.message)) return null;
  throw error;
}

/** Reads by the first way that works. @throws what the last one throws */
export function eitherStore(ways: readonly ReadStore[]): ReadStore | undefined {
  if (ways.length === 0) return undefined;
  return async (channel) => {
    for (const read of ways.slice(0, -1)) {
      const view = await read(channel).catch(() => undefined);
      if (view) return view;
    }
    return await ways.at(-1)!(channel);
  };
}

/** Reads history through the server API of the first instance that answers. */
export function apiStore(urls: readonly string[], apiKey: string): ReadStore {
  return async (channel) => {
    for (let attempt = 0; ; attempt++) {
      try {
        const { publications } = await ask(urls[attempt % urls.length]!, apiKey, channel);
        return publications.map(({ offset, data }) => ({ offset, body: data }));
      } catch (error) {
        if (attempt >= ATTEMPTS) throw error;
      }
    }
  };
}

interface Page {
  readonly publications: readonly { readonly offset: number; readonly data: Numbered }[];
}

async function ask(url: string, apiKey: string, channel: string): Promise<Page> {
  const response = await fetch(`${url}/api/history`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": apiKey },
    body: JSON.stringify({ channel, limit: PAGE, reverse: false }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const { result, error } = (await response.json()) as { result?: Page; error?: { message: string } };
  if (!result) throw new Error(`${url} answers ${response.status} ${error?.message ?? ""}`);
  return result;
}
