import type { Connecting } from "./client.ts";

/** One numbered message of a publisher, as a client has received it. */
export interface Message {
  readonly kind: "message";
  /** Number of the message, from 1. */
  readonly n: number;
  /** When it was due to be published, {@link nowMs}. */
  readonly dueMs: number;
  /** Where the channel stands with it; 0 when the server gives no positions. */
  readonly offset: number;
}

/** What a server has said. */
export type Incoming =
  | Message
  | { readonly kind: "ping" }
  | {
      readonly kind: "joined";
      readonly epoch: string;
      /** Where the channel stood; replayed messages come after it. */
      readonly offset: number;
      /** `undefined` when no recovery was asked for. */
      readonly recovered: boolean | undefined;
      readonly replayed: readonly Message[];
    }
  | { readonly kind: "refused"; readonly reason: string };

/** How a target is spoken to: what identifies a client, and what its texts mean. */
export interface Dialect {
  readonly path: string;
  /** First text of a client; `undefined` when the upgrade alone makes it a subscriber. */
  hello(client: Connecting, channel: string): string | undefined;
  /** @throws SyntaxError when the text is not what a server of this kind sends */
  read(text: string): Incoming[];
}

export const PONG = "{}";

/** Centrifuge protocol v2, JSON: connect and subscribe in one frame, as centrifuge-js does. */
export const centrifuge: Dialect = {
  path: "/connection/websocket",
  hello(client, channel) {
    const from = client.epoch && { recover: true, offset: client.offset, epoch: client.epoch };
    return (
      `${JSON.stringify({ id: 1, connect: { token: client.token, name: "bench" } })}\n` +
      JSON.stringify({ id: 2, subscribe: { channel, ...(from || undefined) } })
    );
  },
  read,
};

/** The control: a server that subscribes whoever upgrades, and sends pushes of the same shape and size. */
export const bare: Dialect = { path: "/connection/websocket", hello: () => undefined, read };

export const dialects = { centrifuge, bare } as const;

/** What the load tool publishes. */
export interface Body {
  readonly n: number;
  readonly dueMs: number;
}

/** The parts of a reply that matter here; names are the protocol's. */
interface Reply {
  readonly error?: { readonly code: number; readonly message: string };
  readonly connect?: object;
  readonly subscribe?: {
    readonly epoch?: string;
    readonly offset?: number;
    readonly was_recovering?: boolean;
    readonly recovered?: boolean;
    readonly publications?: readonly Pub[];
  };
  readonly push?: { readonly pub?: Pub };
}

interface Pub {
  readonly offset?: number;
  readonly data: unknown;
}

function read(text: string): Incoming[] {
  const incoming: Incoming[] = [];
  for (const line of text.split("\n")) {
    if (line === "{}") incoming.push({ kind: "ping" });
    else if (line !== "") interpret(JSON.parse(line) as Reply, incoming);
  }
  return incoming;
}

function interpret(reply: Reply, incoming: Incoming[]): void {
  if (reply.error) {
    incoming.push({ kind: "refused", reason: `error ${reply.error.code}: ${reply.error.message}` });
  } else if (reply.push) {
    const message = reply.push.pub && toMessage(reply.push.pub);
    if (message) incoming.push(message);
  } else if (reply.subscribe) {
    const { epoch = "", offset = 0, was_recovering, recovered = false, publications = [] } = reply.subscribe;
    incoming.push({
      kind: "joined",
      epoch,
      offset,
      recovered: was_recovering ? recovered : undefined,
      replayed: publications.map(toMessage).filter((message) => message !== undefined),
    });
  }
}

/** `undefined` for what others publish (an inbox has messages of its own). */
function toMessage({ data, offset = 0 }: Pub): Message | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { n, dueMs } = data as Partial<Body>;
  if (typeof n !== "number" || typeof dueMs !== "number") return undefined;
  return { kind: "message", n, dueMs, offset };
}
