import type { Place } from "../layout.ts";
import type { Connecting } from "./client.ts";

/** What the load tool publishes. */
export interface Body {
  /** Number of the message, from 1, for each publisher and channel. */
  readonly n: number;
  /** When it was due, by {@link nowMs}. */
  readonly dueMs: number;
  /** Number of the publishing client; absent for the run's own publisher. */
  readonly from?: number;
  /** Sent during warm-up: its latency is not counted. */
  readonly warm?: true;
}

/** A numbered message, as received by a client. */
export interface Message extends Body {
  readonly kind: "message";
  /** The channel's offset; 0 for servers without positions. */
  readonly offset: number;
}

/** Where a subscription begins. */
export interface Joining {
  readonly epoch: string;
  /** Offset of the channel; replayed messages come after it. */
  readonly offset: number;
  /** `undefined` when no recovery was asked for. */
  readonly recovered: boolean | undefined;
  readonly replayed: readonly Message[];
}

/** What a frame from the server says. */
export type Incoming =
  | Message
  | { readonly kind: "ping" }
  /** The server accepted the client; `subs` are its server-side subscriptions. */
  | { readonly kind: "connected"; readonly subs: ReadonlyMap<string, Joining> }
  | ({ readonly kind: "joined" } & Joining)
  /** A publish has succeeded. */
  | { readonly kind: "done"; readonly id: number }
  /** A command was refused; `id` is 0 if the server does not say which. */
  | { readonly kind: "refused"; readonly id: number; readonly reason: string };

/** The protocol of a target: how a client connects, and what frames mean. */
export interface Dialect {
  /** Path and query of the upgrade. */
  path(place: Place): string;
  /** First frame of a client; `undefined` if the upgrade alone subscribes it. */
  hello(client: Connecting, place: Place): string | undefined;
  /** @param id from {@link FIRST_ID}; comes back with the answer */
  publish(id: number, channel: string, body: Body): string;
  readonly pong: string;
  /** @throws SyntaxError when the text is not what a server of this kind sends */
  read(text: string): Incoming[];
}

/** Lower ids belong to a client's first commands. */
export const FIRST_ID = 3;

export const NOWHERE: Joining = { epoch: "", offset: 0, recovered: undefined, replayed: [] };

const PATH = "/connection/websocket";

/** Centrifuge protocol v2, JSON: connect and subscribe in one frame, as centrifuge-js does. */
export const centrifuge: Dialect = {
  path: () => PATH,
  hello({ token, epoch, offset }, { listens, unasked }) {
    const from = epoch === "" ? undefined : { recover: true, offset, epoch };
    const subs = unasked && from ? { [listens]: from } : undefined;
    const connect = JSON.stringify({ id: 1, connect: { token, name: "bench", subs } });
    if (listens === "" || unasked) return connect;
    return `${connect}\n${JSON.stringify({ id: 2, subscribe: { channel: listens, ...from } })}`;
  },
  publish,
  pong: "{}",
  read,
};

/** The controls: servers that subscribe every client on upgrade, and send pushes of the same shape and size. */
export const bare: Dialect = {
  path: ({ listens }) => (listens === "" ? PATH : `${PATH}?channel=${encodeURIComponent(listens)}`),
  hello: () => undefined,
  publish,
  pong: "{}",
  read,
};

/** `undefined` for messages of other publishers (an inbox receives some). */
export function toMessage(data: unknown, offset = 0): Message | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { n, dueMs, from, warm } = data as Partial<Body>;
  if (typeof n !== "number" || typeof dueMs !== "number") return undefined;
  return { kind: "message", n, dueMs, from, warm, offset };
}

function publish(id: number, channel: string, data: Body): string {
  return JSON.stringify({ id, publish: { channel, data } });
}

/** The parts of a reply that matter here; names are the protocol's. */
interface CentrifugeReply {
  readonly id?: number;
  readonly error?: { readonly code: number; readonly message: string };
  readonly connect?: { readonly subs?: Readonly<Record<string, Subscribed>> };
  readonly subscribe?: Subscribed;
  readonly publish?: object;
  readonly push?: { readonly pub?: Pub };
}

interface Subscribed {
  readonly epoch?: string;
  readonly offset?: number;
  readonly was_recovering?: boolean;
  readonly recovered?: boolean;
  readonly publications?: readonly Pub[];
}

interface Pub {
  readonly offset?: number;
  readonly data: unknown;
}

function read(text: string): Incoming[] {
  const incoming: Incoming[] = [];
  for (const line of text.split("\n")) {
    if (line === "{}") incoming.push({ kind: "ping" });
    else if (line !== "") interpret(JSON.parse(line) as CentrifugeReply, incoming);
  }
  return incoming;
}

function interpret(reply: CentrifugeReply, incoming: Incoming[]): void {
  const { id = 0, error } = reply;
  if (error) {
    incoming.push({ kind: "refused", id, reason: `error ${error.code}: ${error.message}` });
  } else if (reply.push) {
    const message = reply.push.pub && toMessage(reply.push.pub.data, reply.push.pub.offset);
    if (message) incoming.push(message);
  } else if (reply.connect) {
    const subs = Object.entries(reply.connect.subs ?? {}).map(([name, sub]) => [name, joining(sub)] as const);
    incoming.push({ kind: "connected", subs: new Map(subs) });
  } else if (reply.subscribe) {
    incoming.push({ kind: "joined", ...joining(reply.subscribe) });
  } else if (reply.publish) {
    incoming.push({ kind: "done", id });
  }
}

function joining(subscribed: Subscribed): Joining {
  const { epoch = "", offset = 0, was_recovering, recovered = false, publications = [] } = subscribed;
  return {
    epoch,
    offset,
    recovered: was_recovering ? recovered : undefined,
    replayed: publications
      .map((pub) => toMessage(pub.data, pub.offset))
      .filter((message) => message !== undefined),
  };
}
