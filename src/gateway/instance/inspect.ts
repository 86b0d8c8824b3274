import { z } from "zod";
import type { Permission } from "../../auth/auth.ts";
import type { BrokerStatus } from "../../broker/broker.ts";
import type { ChannelName } from "../../core/channel.ts";
import { isNear } from "../../core/meant.ts";
import type { Hub } from "../session/hub.ts";
import type { Session } from "../session/session.ts";
import type { Subscription } from "../session/subscription.ts";
import type { Trouble, Troubles } from "./trouble.ts";

/** What one instance is asked about a user, a channel, or a user in a channel. */
export const inspectRequest = z.object({
  user: z.string().optional(),
  channel: z.string().optional(),
  /** Tell every subscription of the user's connections, with the rights in it. */
  subscriptions: z.boolean().optional(),
  /** Tell also what may explain that nothing comes: publishes of others, and channels whose names are like this one's. */
  why: z.boolean().optional(),
});

export type InspectRequest = z.infer<typeof inspectRequest>;

/** Connections, subscriptions of each, and troubles that one instance tells of at most. */
const MOST_CONNECTIONS = 100;
const MOST_SUBSCRIPTIONS = 100;
const MOST_TROUBLES = 20;
/** Names like the channel's that are told, and subscriptions of a connection that are looked at for them. */
const MOST_NEAR = 5;
const MOST_COMPARED = 1_000;

const count = z.number().min(0);

/** A connection's subscription to a channel. */
const subscriptionShape = z.object({
  side: z.enum(["client", "server"]),
  /** It is still being given what it missed. */
  catchingUp: z.boolean(),
  /** The offset up to which it was given everything. */
  offset: count,
});

const RIGHTS = { pub: "publish", prs: "presence", hst: "history" } as const satisfies Partial<
  Record<Permission, string>
>;

/** The same, among all of a connection. */
const listedShape = subscriptionShape.extend({
  channel: z.string(),
  /** What the client may do there, beside hearing. */
  rights: z.array(z.enum(["publish", "presence", "history"])),
  /** Unix seconds; absent: never. */
  expiresAt: count.optional(),
});

/** One connection of the user in question. */
const connectionShape = z.object({
  client: z.string(),
  protocol: z.string(),
  transport: z.string(),
  /** Name and version of the client's library, as far as it says so. */
  library: z.string().optional(),
  address: z.string(),
  /** Unix ms. */
  sinceMs: count,
  /** How long nothing was heard of it, ms. */
  silentMs: z.number(),
  /** Bytes that wait in its socket. */
  unsentBytes: count,
  /** Unix seconds; 0: never. */
  expiresAt: count,
  subscriptions: count,
  /** To the channel in question. */
  subscription: subscriptionShape.optional(),
  /** All, or the first of many, where they are asked for. */
  subscribed: z.array(listedShape).max(MOST_SUBSCRIPTIONS).optional(),
});

export type InspectedConnection = Readonly<z.infer<typeof connectionShape>>;

const troubleShape = z.object({
  ...{ atMs: z.number(), user: z.string(), client: z.string(), what: z.string() },
  ...{ channel: z.string().optional(), code: z.number(), message: z.string() },
  times: z.number().min(2).optional(),
});

/** What one instance knows. */
export const inspectedShape = z.object({
  ...{ instance: z.string(), region: z.string(), overloaded: z.boolean() },
  broker: z.enum(["connecting", "connected", "disconnected", "closed"]),
  connections: z.array(connectionShape).max(MOST_CONNECTIONS),
  /** Of the channel, where it is live here. */
  channel: z.object({ subscribers: count, offset: count }).optional(),
  troubles: z.array(troubleShape).max(MOST_TROUBLES),
  /** Of messages of the channel, or of one with a name like it, whoever published. */
  messages: z.array(troubleShape).max(MOST_TROUBLES).optional(),
  /** Channels the user is subscribed to whose names are like the channel's. */
  near: z.array(z.string()).max(MOST_NEAR).optional(),
});

export type Inspected = Readonly<z.infer<typeof inspectedShape>>;

/** What is asked of an instance. */
export interface InspectParts {
  readonly instance: string;
  readonly region: string;
  readonly hub: Pick<Hub, "sessionsOf" | "channels">;
  readonly broker: { status(): BrokerStatus };
  readonly overloaded: () => boolean;
  readonly troubles: Troubles;
  readonly messageTroubles: Troubles;
  mayAccess(session: Session, channel: ChannelName, permission: Permission): boolean;
}

/** Looks at this instance; changes nothing. */
export function inspect(parts: InspectParts, request: InspectRequest): Inspected {
  const { hub, broker, troubles } = parts;
  const { user, channel } = request;
  const sessions = user ? hub.sessionsOf(user).slice(0, MOST_CONNECTIONS) : [];
  const live = channel === undefined ? undefined : hub.channels.get(channel);
  return {
    ...{ instance: parts.instance, region: parts.region },
    ...{ broker: broker.status().state, overloaded: parts.overloaded() },
    connections: sessions.map((session) => inspected(parts, session, request)),
    ...(live && { channel: { subscribers: live.size, offset: live.position.offset } }),
    troubles: troubles.find((trouble) => concerns(trouble, user, channel), MOST_TROUBLES),
    ...(request.why && channel !== undefined && reasons(parts, sessions, channel)),
  };
}

/** What may explain that nothing comes, beside what happened to the user. */
function reasons({ troubles, messageTroubles }: InspectParts, sessions: readonly Session[], channel: string) {
  const ofChannel = ({ channel: other = "" }: Trouble) => other === channel || isNear(other, channel);
  const messages = [
    ...messageTroubles.find(ofChannel, MOST_TROUBLES),
    ...troubles.find((trouble) => trouble.what === "publish" && ofChannel(trouble), MOST_TROUBLES),
  ];
  const near = sessions.flatMap(({ subs }) =>
    subs
      .values()
      .slice(0, MOST_COMPARED)
      .map((sub) => sub.channel.id)
      .filter((id) => isNear(id, channel)),
  );
  return {
    messages: messages.toSorted((one, other) => other.atMs - one.atMs).slice(0, MOST_TROUBLES),
    near: [...new Set(near)].slice(0, MOST_NEAR),
  };
}

/** A trouble of the user, or of somebody who could not be identified: that may have been them. */
function concerns(trouble: Trouble, user: string | undefined, channel: string | undefined): boolean {
  if (user !== undefined && trouble.user !== user && !(trouble.user === "" && trouble.what === "connect"))
    return false;
  return channel === undefined || trouble.channel === undefined || trouble.channel === channel;
}

function inspected(
  parts: InspectParts,
  session: Session,
  { channel, subscriptions }: InspectRequest,
): InspectedConnection {
  const { identity, handshake, subs } = session;
  const sub = channel === undefined ? undefined : subs.get(channel);
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
    subscriptions: subs.size,
    ...(sub && { subscription: subscribed(session, sub) }),
    ...(subscriptions && {
      subscribed: subs
        .values()
        .slice(0, MOST_SUBSCRIPTIONS)
        .map((one) => listed(parts, session, one)),
    }),
  };
}

function subscribed(session: Session, sub: Subscription) {
  const task = [...session.catchUps].find((one) => one.sub === sub);
  return {
    side: sub.side,
    catchingUp: task !== undefined,
    offset: (task?.from ?? sub.channel.position).offset,
  };
}

function listed({ mayAccess }: InspectParts, session: Session, sub: Subscription) {
  const { name } = sub.channel;
  const permissions = Object.keys(RIGHTS) as (keyof typeof RIGHTS)[];
  return {
    ...{ channel: name.id, ...subscribed(session, sub) },
    rights: permissions.filter((one) => mayAccess(session, name, one)).map((one) => RIGHTS[one]),
    ...(sub.expiresAt !== undefined && { expiresAt: sub.expiresAt }),
  };
}
