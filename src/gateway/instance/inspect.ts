import { z } from "zod";
import type { BrokerStatus } from "../../broker/broker.ts";
import type { Hub } from "../session/hub.ts";
import type { Session } from "../session/session.ts";
import type { Trouble, Troubles } from "./trouble.ts";

/** What one instance is asked about a user, a channel, or a user in a channel. */
export const inspectRequest = z.object({
  user: z.string().optional(),
  channel: z.string().optional(),
});

export type InspectRequest = z.infer<typeof inspectRequest>;

/** Connections and troubles that one instance tells of at most. */
const MOST_CONNECTIONS = 100;
const MOST_TROUBLES = 20;

/** A connection's subscription to the channel in question. */
interface InspectedSubscription {
  readonly side: "client" | "server";
  /** It is still being given what it missed. */
  readonly catchingUp: boolean;
  /** The offset up to which it was given everything. */
  readonly offset: number;
}

/** One connection of the user in question. */
export interface InspectedConnection {
  readonly client: string;
  readonly protocol: string;
  readonly transport: string;
  /** Name and version of the client's library, as far as it says so. */
  readonly library?: string;
  readonly address: string;
  readonly sinceMs: number;
  /** How long nothing was heard of it, ms. */
  readonly silentMs: number;
  /** Bytes that wait in its socket. */
  readonly unsentBytes: number;
  /** Unix seconds; 0: never. */
  readonly expiresAt: number;
  readonly subscriptions: number;
  readonly subscription?: InspectedSubscription;
}

/** What one instance knows. */
export interface Inspected {
  readonly instance: string;
  readonly region: string;
  readonly broker: BrokerStatus["state"];
  readonly overloaded: boolean;
  readonly connections: readonly InspectedConnection[];
  /** Of the channel, where it is live here. */
  readonly channel?: { readonly subscribers: number; readonly offset: number };
  readonly troubles: readonly Trouble[];
}

/** What is asked of an instance. */
export interface InspectParts {
  readonly instance: string;
  readonly region: string;
  readonly hub: Pick<Hub, "sessionsOf" | "channels">;
  readonly broker: { status(): BrokerStatus };
  readonly overloaded: () => boolean;
  readonly troubles: Troubles;
}

/** Looks at this instance; changes nothing. */
export function inspect(parts: InspectParts, { user, channel }: InspectRequest): Inspected {
  const { hub, broker, troubles } = parts;
  const sessions = user ? hub.sessionsOf(user).slice(0, MOST_CONNECTIONS) : [];
  const live = channel === undefined ? undefined : hub.channels.get(channel);
  return {
    ...{ instance: parts.instance, region: parts.region },
    ...{ broker: broker.status().state, overloaded: parts.overloaded() },
    connections: sessions.map((session) => inspected(session, channel)),
    ...(live && { channel: { subscribers: live.size, offset: live.position.offset } }),
    troubles: troubles.find((trouble) => concerns(trouble, user, channel), MOST_TROUBLES),
  };
}

/** A trouble of the user, or of somebody who could not be identified: that may have been them. */
function concerns(trouble: Trouble, user: string | undefined, channel: string | undefined): boolean {
  if (user !== undefined && trouble.user !== user && !(trouble.user === "" && trouble.what === "connect"))
    return false;
  return channel === undefined || trouble.channel === undefined || trouble.channel === channel;
}

function inspected(session: Session, channel: string | undefined): InspectedConnection {
  const { identity, handshake } = session;
  const sub = channel === undefined ? undefined : session.subs.get(channel);
  const task = [...session.catchUps].find((one) => one.sub === sub);
  return {
    client: session.client,
    protocol: session.codec.name,
    transport: handshake.transport ?? "websocket",
    ...(identity.library !== undefined && { library: identity.library }),
    address: handshake.ip,
    sinceMs: session.sinceMs,
    silentMs: Math.round(performance.now() - session.lastSeenAt),
    unsentBytes: session.bufferedBytes,
    expiresAt: session.expiresAt,
    subscriptions: session.subs.size,
    ...(sub && {
      subscription: {
        side: sub.side,
        catchingUp: task !== undefined,
        offset: (task?.from ?? sub.channel.position).offset,
      },
    }),
  };
}

const count = z.number().min(0);
const troubleShape = z.object({
  ...{ atMs: z.number(), user: z.string(), client: z.string(), what: z.string() },
  ...{ channel: z.string().optional(), code: z.number(), message: z.string() },
});
const connectionShape = z.object({
  ...{ client: z.string(), protocol: z.string(), transport: z.string(), address: z.string() },
  ...{ library: z.string().optional(), sinceMs: count, silentMs: z.number(), unsentBytes: count },
  ...{ expiresAt: count, subscriptions: count },
  subscription: z
    .object({ side: z.enum(["client", "server"]), catchingUp: z.boolean(), offset: count })
    .optional(),
});
/** What other instances may answer. */
export const inspectedShape = z.object({
  ...{ instance: z.string(), region: z.string(), overloaded: z.boolean() },
  broker: z.enum(["connecting", "connected", "disconnected", "closed"]),
  connections: z.array(connectionShape).max(MOST_CONNECTIONS),
  channel: z.object({ subscribers: count, offset: count }).optional(),
  troubles: z.array(troubleShape).max(MOST_TROUBLES),
});
