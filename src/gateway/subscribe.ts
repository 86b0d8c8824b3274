import type { SubscriptionGrant, SubscriptionOverrides } from "../auth/auth.ts";
import { USER_NAMESPACE } from "../core/channel.ts";
import { type CloseCode, Closes, CommandError, ConnectionError, Errors } from "../core/errors.ts";
import { Stats } from "../core/stats.ts";
import type { SubscribeResult } from "../protocol/codec.ts";
import type { RecoverRequest, SubscribeCommand } from "../protocol/command.ts";
import { mayAccess } from "./access.ts";
import type { Channel } from "./channel.ts";
import type { Edge } from "./edge.ts";
import type { RingEntry } from "./ring.ts";
import type { Session } from "./session.ts";
import type { Subscription } from "./subscription.ts";

type Grant = SubscriptionGrant & { readonly data?: string };

/** A grant that adds nothing to the namespace's rules. */
const PLAIN: Grant = {};

/**
 * Carries out `subscribe`. All in one step when the channel is live, the ring reaches back far enough and nobody must
 * be asked: a reconnect storm makes no promises. Otherwise what is missing is fetched first.
 * @returns a promise only in the second case
 * @throws CommandError, ConnectionError
 */
export function subscribe(
  edge: Edge,
  session: Session,
  command: SubscribeCommand,
): Promise<void> | undefined {
  if (command.channel === "") throw new ConnectionError(Closes.badRequest, "subscribe without a channel");
  const name = edge.hub.resolve(command.channel);
  if (session.subs.has(name.id)) throw new CommandError(Errors.alreadySubscribed);
  if (session.subs.size + (session.pending?.size ?? 0) >= edge.options.channelsPerConnection) {
    throw new CommandError(Errors.limitExceeded);
  }
  if (command.type > 0) throw new CommandError(Errors.notAvailable, "only stream subscriptions are served");
  const rules = edge.hub.rules(name);
  const asked = command.token !== "" || rules.subscribeCallout;
  if (!asked && !mayAccess(session, name.id, rules, "sub", edge.options.insecure)) {
    throw new CommandError(Errors.permissionDenied);
  }

  const channel = edge.hub.acquire(name);
  const from = command.recover && rules.recovery !== "off" ? command : undefined;
  const ready = channel.live && (!from || channel.recover(from).outcome !== "missing");
  if (!asked && ready) {
    try {
      complete(edge, session, command, channel, PLAIN);
    } finally {
      edge.hub.release(channel);
    }
    return undefined;
  }
  return subscribeLater(edge, session, command, channel, from).finally(() => edge.hub.release(channel));
}

async function subscribeLater(
  edge: Edge,
  session: Session,
  command: SubscribeCommand,
  channel: Channel,
  from: RecoverRequest | undefined,
): Promise<void> {
  const grant = await authorize(edge, session, command, channel);
  await channel.prepare(from);
  if (session.state === "open") complete(edge, session, command, channel, grant);
}

/** Asks the token, then the service where the namespace says so. */
async function authorize(
  edge: Edge,
  session: Session,
  command: SubscribeCommand,
  channel: Channel,
): Promise<Grant> {
  const { id, rules } = channel;
  if (rules.name === USER_NAMESPACE) throw new CommandError(Errors.permissionDenied);
  if (command.token !== "") {
    if (rules.subscribe === "nobody") throw new CommandError(Errors.permissionDenied);
    const grant = await edge.authenticator.subscription(command.token, id, session.user);
    if (grant.expiresAt !== undefined && grant.expiresAt * 1000 <= Date.now()) {
      throw new CommandError(Errors.tokenExpired);
    }
    return grant;
  }
  if (!rules.subscribeCallout) return PLAIN;
  if (!edge.callouts) throw new CommandError(Errors.notAvailable, "no auth callout");
  return await edge.callouts.subscribe({
    client: session.client,
    user: session.user,
    channel: id,
    data: command.data,
    meta: session.identity.meta,
  });
}

/** The synchronous end: answer, then live. */
function complete(
  edge: Edge,
  session: Session,
  command: SubscribeCommand,
  channel: Channel,
  grant: Grant,
): void {
  const sub = subscriptionFor(channel, "client", grant);
  const result = positionResult(edge, session, sub, command.recover ? command : undefined);
  if (command.rejectUnrecovered && result.wasRecovering && !result.recovered) {
    throw new CommandError(Errors.unrecoverablePosition);
  }
  session.subs.set(channel.id, sub);
  const data = grant.data === undefined ? result : { ...result, data: grant.data };
  session.send(session.codec.subscribe(command.id, data));
  admit(edge, session, sub, command.joinLeave);
  if (sub.expiresAt !== undefined) {
    session.subsExpire = true;
    edge.liveness.reschedule(session);
  }
}

export function subscriptionFor(
  channel: Channel,
  side: Subscription["side"],
  grant: { info?: string; expiresAt?: number; overrides?: SubscriptionOverrides } & SubscriptionOverrides,
): Subscription {
  const overrides = grant.overrides ?? grant;
  return { channel, side, info: grant.info, expiresAt: grant.expiresAt, overrides };
}

/** Lets publications through from here on, and tells presence. The session has its answer. */
export function admit(edge: Edge, session: Session, sub: Subscription, wantsNotices: boolean): void {
  const { rules } = sub.channel;
  const allowed = rules.joinLeave !== "off" || sub.overrides.joinLeave === true;
  const forced = sub.overrides.forceJoinLeave ?? rules.forceJoinLeave;
  sub.channel.join(session, allowed && (wantsNotices || forced));
  edge.roster.joined(session, sub);
}

/**
 * The part of an answer that says where the subscriber is in the channel, and brings what it missed. Synchronous: the
 * caller sends it and lets publications through in the same step.
 */
export function positionResult(
  edge: Edge,
  session: Session,
  sub: Subscription,
  from: RecoverRequest | undefined,
): SubscribeResult {
  const { channel, overrides, expiresAt } = sub;
  const { rules, position } = channel;
  const keeps = rules.history !== null && rules.recovery !== "off";
  const recoverable = overrides.recovery ?? keeps;
  const positioned = recoverable || (overrides.positioning ?? false);
  const ttl = expiresAt === undefined ? undefined : secondsLeft(expiresAt);
  if (!from?.recover || !recoverable) {
    const none: readonly string[] = [];
    return {
      recoverable,
      positioned,
      position,
      wasRecovering: from?.recover ?? false,
      recovered: false,
      publications: none,
      ttl,
    };
  }
  const recovery = channel.recover(from);
  const recovered = recovery.outcome === "recovered";
  const entries: readonly RingEntry[] = recovered ? recovery.entries : [];
  Stats.bump(edge.stats.recoveries, !recovered ? "failed" : entries.length > 0 ? "messages" : "empty");
  // A stream recovery answers with the position it began from: the client moves it while it applies the publications.
  const advances = recovered && rules.recovery === "stream";
  return {
    recoverable,
    positioned,
    position: advances ? { epoch: position.epoch, offset: from.offset } : position,
    wasRecovering: true,
    recovered,
    publications: entries.map((entry) => entry.encoded(session.codec)),
    ttl,
  };
}

/** Whole seconds until an expiry in Unix seconds; `undefined` for "never" (0). */
export function secondsLeft(expiresAt: number): number | undefined {
  return expiresAt > 0 ? Math.max(0, Math.ceil(expiresAt - Date.now() / 1000)) : undefined;
}

/** Ends a client's own subscription at its wish. Unknown channels are no error: an error would make SDKs reconnect. */
export function unsubscribe(edge: Edge, session: Session, channel: string): void {
  if (channel === "") throw new ConnectionError(Closes.badRequest, "unsubscribe without a channel");
  const sub = session.subs.get(channel);
  if (sub?.side === "server") throw new CommandError(Errors.permissionDenied, "a server-side subscription");
  if (sub) drop(edge, session, sub, "unsubscribed");
}

/** Ends a subscription from the server's side and tells the client why. */
export function revoke(edge: Edge, session: Session, sub: Subscription, why: CloseCode): void {
  drop(edge, session, sub, "unsubscribed");
  session.send(session.codec.unsubscribePush(sub.channel.id, why.code, why.reason));
}

export function drop(edge: Edge, session: Session, sub: Subscription, reason: "unsubscribed" | "gone"): void {
  session.subs.delete(sub.channel.id);
  sub.channel.leave(session);
  edge.hub.release(sub.channel, 0);
  edge.roster.left(session, sub, reason);
}
