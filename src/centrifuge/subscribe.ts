import type { SubscriptionGrant, SubscriptionOverrides } from "../auth/auth.ts";
import { type ChannelName, USER_NAMESPACE } from "../core/channel.ts";
import { type CloseCode, Closes, CommandError, ConnectionError, Errors } from "../core/errors.ts";
import type { Position } from "../core/position.ts";
import { Stats } from "../core/stats.ts";
import type { Channel } from "../gateway/channel/channel.ts";
import type { GatewayContext } from "../gateway/context.ts";
import type { Session } from "../gateway/session/session.ts";
import { encoderOf, type Subscription } from "../gateway/session/subscription.ts";
import { mayAccess } from "../gateway/subscribe/access.ts";
import { type CatchUp, catchUp, chunkBytes, firstChunk } from "../gateway/subscribe/catch-up.ts";
import type { SubscribeResult } from "../protocol/codec.ts";
import type { RecoverRequest, SubscribeCommand } from "../protocol/command.ts";

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
  context: GatewayContext,
  session: Session,
  command: SubscribeCommand,
): Promise<void> | undefined {
  if (command.channel === "") throw new ConnectionError(Closes.badRequest, "subscribe without a channel");
  const name = context.hub.resolve(command.channel);
  if (session.subs.has(name.id)) throw new CommandError(Errors.alreadySubscribed);
  if (session.subs.size + (session.pending?.size ?? 0) >= context.options.channelsPerConnection) {
    throw new CommandError(Errors.limitExceeded);
  }
  if (command.type > 0) throw new CommandError(Errors.notAvailable, "only stream subscriptions are served");
  const rules = context.hub.rules(name);
  const asked = command.token !== "" || rules.subscribeCallout;
  if (!asked && !mayAccess(context, session, name, "sub")) {
    throw new CommandError(Errors.permissionDenied);
  }

  const from = command.recover && rules.recovery !== "off" ? command : undefined;
  if (asked) return subscribeAsked(context, session, command, name, from);
  const channel = context.hub.acquire(name);
  const ready = channel.live && (!from || countRing(context, channel, from));
  if (!ready) return subscribeLater(context, session, command, channel, from, PLAIN);
  try {
    complete(context, session, command, channel, PLAIN);
  } finally {
    context.hub.release(channel);
  }
  return undefined;
}

/** Whether a recovery is answered from memory; counted. */
export function countRing(context: GatewayContext, channel: Channel, from: RecoverRequest): boolean {
  const hit = channel.live && channel.recover(from).outcome !== "missing";
  if (hit) context.stats.ringHits++;
  else context.stats.ringMisses++;
  return hit;
}

/** Only who may subscribe makes a channel live: names are free, channels are not. */
async function subscribeAsked(
  context: GatewayContext,
  session: Session,
  command: SubscribeCommand,
  name: ChannelName,
  from: RecoverRequest | undefined,
): Promise<void> {
  const grant = await authorize(context, session, command, name);
  if (session.state !== "open") return;
  await subscribeLater(context, session, command, context.hub.acquire(name), from, grant);
}

/** Releases the channel at the end. */
async function subscribeLater(
  context: GatewayContext,
  session: Session,
  command: SubscribeCommand,
  channel: Channel,
  from: RecoverRequest | undefined,
  grant: Grant,
): Promise<void> {
  try {
    await channel.prepare(from);
    if (session.state === "open") complete(context, session, command, channel, grant);
  } finally {
    context.hub.release(channel);
  }
}

/** Asks the token, then the service where the namespace says so. */
export async function authorize(
  context: GatewayContext,
  session: Session,
  command: Pick<SubscribeCommand, "token" | "data">,
  name: ChannelName,
): Promise<Grant> {
  const { id } = name;
  const rules = context.hub.rules(name);
  if (rules.name === USER_NAMESPACE) throw new CommandError(Errors.permissionDenied);
  if (command.token !== "") {
    if (rules.subscribe === "nobody") throw new CommandError(Errors.permissionDenied);
    return await context.authenticator.subscription(command.token, id, session.user);
  }
  if (!rules.subscribeCallout) return PLAIN;
  return await context.callouts.subscribe({
    client: session.client,
    user: session.user,
    channel: id,
    data: command.data,
    meta: session.identity.meta,
  });
}

/** The synchronous end: answer, then live. */
function complete(
  context: GatewayContext,
  session: Session,
  command: SubscribeCommand,
  channel: Channel,
  grant: Grant,
): void {
  const delta = command.delta && channel.rules.delta && session.codec.deltas !== undefined;
  const sub = subscriptionFor(channel, "client", grant, delta);
  const { result, behind } = positionResult(context, session, sub, command.recover ? command : undefined);
  if (command.rejectUnrecovered && result.wasRecovering && !result.recovered) {
    throw new CommandError(Errors.unrecoverablePosition);
  }
  session.subs.add(sub);
  const data = grant.data === undefined ? result : { ...result, data: grant.data };
  session.send(session.codec.subscribe(command.id, data));
  if (!session.live) return; // that was too much for it
  admit(context, session, sub, command.joinLeave, behind);
  if (sub.expiresAt !== undefined) {
    session.subsExpire = true;
    context.liveness.reschedule(session);
  }
}

export function subscriptionFor(
  channel: Channel,
  side: Subscription["side"],
  grant: SubscriptionGrant,
  delta = false,
): Subscription {
  // One literal, always with the same members: adding one to a copy costs several times as much.
  return {
    channel,
    side,
    info: grant.info,
    expiresAt: grant.expiresAt,
    delta,
    overrides: overridesOf(grant),
  };
}

/** What a grant changes of the rules, and nothing else of it: it lives as long as the subscription. */
function overridesOf(grant: SubscriptionGrant): SubscriptionOverrides {
  const { presence, joinLeave, forceJoinLeave, recovery, positioning } = grant;
  const changed = presence ?? joinLeave ?? forceJoinLeave ?? recovery ?? positioning;
  return changed === undefined ? PLAIN : { presence, joinLeave, forceJoinLeave, recovery, positioning };
}

/**
 * Lets publications through from here on, and tells presence. The session has its answer.
 * @param behind how far it has come, when the answer could not bring all it missed
 */
export function admit(
  context: GatewayContext,
  session: Session,
  sub: Subscription,
  wantsNotices: boolean,
  behind: Position | undefined,
): void {
  const { rules } = sub.channel;
  const allowed = rules.joinLeave !== "off" || sub.overrides.joinLeave === true;
  const forced = sub.overrides.forceJoinLeave ?? rules.forceJoinLeave;
  const notices = allowed && (wantsNotices || forced);
  if (behind) {
    const task: CatchUp = { sub, notices, from: behind, waiting: false };
    session.behind ??= new Set();
    session.behind.add(task);
    catchUp(context, session, task);
  } else goLive(session, sub, notices);
  context.tracker.joined(session, sub);
}

/** From here on, in program order with what was sent before, the session gets what is published. */
export function goLive(session: Session, sub: Subscription, notices: boolean): void {
  sub.channel.join(session, notices, sub.delta);
}

/**
 * The part of an answer that says where the subscriber is in the channel, and brings what it missed. Synchronous: the
 * caller sends it and lets publications through in the same step.
 */
export function positionResult(
  context: GatewayContext,
  session: Session,
  sub: Subscription,
  from: RecoverRequest | undefined,
): { result: SubscribeResult; behind?: Position } {
  const { channel, overrides, expiresAt } = sub;
  const { rules, position } = channel;
  const keeps = rules.history !== null && rules.recovery !== "off";
  const recoverable = overrides.recovery ?? keeps;
  const positioned = recoverable || (overrides.positioning ?? false);
  const ttl = expiresAt === undefined ? undefined : secondsLeft(expiresAt);
  const common = { recoverable, positioned, wasRecovering: from?.recover ?? false, ttl, delta: sub.delta };
  if (!from?.recover || !recoverable) {
    return { result: { ...common, position, recovered: false, publications: [] } };
  }
  const recovery = channel.recover(from);
  context.log.trace?.("recovery", {
    client: session.client,
    channel: channel.id,
    from: from.offset,
    to: position.offset,
    outcome: recovery.outcome,
  });
  if (recovery.outcome !== "recovered") {
    Stats.bump(context.stats.recoveries, "failed");
    return { result: { ...common, position, recovered: false, publications: [] } };
  }
  const { entries } = recovery;
  Stats.bump(context.stats.recoveries, entries.length > 0 ? "messages" : "empty");
  const { frames, last } = firstChunk(entries, encoderOf(session, sub), chunkBytes(context));
  // A stream recovery answers with the position it began from: the client moves it while it applies the publications.
  const stream = rules.recovery === "stream";
  return {
    result: {
      ...common,
      position: stream ? { epoch: position.epoch, offset: from.offset } : position,
      recovered: true,
      publications: frames,
    },
    behind:
      last && frames.length < entries.length
        ? { epoch: position.epoch, offset: last.publication.offset }
        : undefined,
  };
}

/**
 * Whole seconds until an expiry in Unix seconds, at least 1 (whoever issues tokens may have a clock a little behind);
 * `undefined` for "never" (0).
 */
export function secondsLeft(expiresAt: number): number | undefined {
  return expiresAt > 0 ? Math.max(1, Math.ceil(expiresAt - Date.now() / 1000)) : undefined;
}

/** Ends a client's own subscription at its wish. Unknown channels are no error: an error would make SDKs reconnect. */
export function unsubscribe(context: GatewayContext, session: Session, channel: string): void {
  if (channel === "") throw new ConnectionError(Closes.badRequest, "unsubscribe without a channel");
  const sub = session.subs.get(channel);
  if (sub?.side === "server") throw new CommandError(Errors.permissionDenied, "a server-side subscription");
  if (sub) drop(context, session, sub);
}

/** Ends a subscription from the server's side and tells the client why. */
export function revoke(context: GatewayContext, session: Session, sub: Subscription, why: CloseCode): void {
  drop(context, session, sub);
  session.send(session.codec.unsubscribePush(sub.channel.id, why.code, why.reason));
}

/** Takes a subscription off its channel; presence is told elsewhere. */
export function detach(context: GatewayContext, session: Session, sub: Subscription): void {
  session.subs.delete(sub.channel.id);
  sub.channel.leave(session);
  context.hub.release(sub.channel, 0);
}

function drop(context: GatewayContext, session: Session, sub: Subscription): void {
  detach(context, session, sub);
  context.tracker.left(session, sub, "unsubscribed");
}
