import type { SubscriptionGrant, SubscriptionOverrides } from "../../auth/auth.ts";
import { isForeignInbox } from "../../core/channel.ts";
import { type CloseCode, CommandError, Errors } from "../../core/errors.ts";
import type { Position } from "../../core/position.ts";
import { Stats } from "../../core/stats.ts";
import type { Channel } from "../channel/channel.ts";
import type { GatewayContext } from "../context.ts";
import type { Session } from "../session/session.ts";
import type { CatchUp, Subscription } from "../session/subscription.ts";
import { catchUp, goLive } from "./catch-up.ts";

/** A grant that changes nothing of the namespace's rules. */
const NO_OVERRIDES: SubscriptionOverrides = {};

/** Makes the subscription of one session to one channel. */
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
  return changed === undefined
    ? NO_OVERRIDES
    : { presence, joinLeave, forceJoinLeave, recovery, positioning };
}

/**
 * Gives a session its subscription, before its answer is sent. Every subscription of every family comes through here: what
 * holds for all of them is asked here, whoever wants it and whatever was granted.
 * @throws CommandError permissionDenied: the inbox of another user, or a channel that was taken from this one
 */
export function addSubscription(context: GatewayContext, session: Session, sub: Subscription): void {
  if (isForeignInbox(sub.channel.name, session.user)) {
    throw new CommandError(Errors.permissionDenied, "the inbox of another user");
  }
  if (context.restrictions.denies(session.user, sub.channel.id)) {
    throw new CommandError(Errors.permissionDenied, "the right to the channel was taken back");
  }
  session.subs.add(sub);
  Stats.bump(context.stats.subscriptions, sub.channel.name.namespace);
}

/** Whether a recovery is answered from memory; counted. */
export function countRing(context: GatewayContext, channel: Channel, from: Position): boolean {
  const hit = channel.live && channel.recover(from).outcome !== "missing";
  if (hit) context.stats.ringHits++;
  else context.stats.ringMisses++;
  return hit;
}

/**
 * Lets publications through from here on, and tells presence. The session has its answer.
 * @param wantsEvents the client asked for joins and leaves
 * @param behind how far it has come, when the answer could not bring all it missed
 */
export function admit(
  context: GatewayContext,
  session: Session,
  sub: Subscription,
  wantsEvents: boolean,
  behind: Position | undefined,
): void {
  const { rules } = sub.channel;
  const allowed = rules.joinLeave !== "off" || sub.overrides.joinLeave === true;
  const forced = sub.overrides.forceJoinLeave ?? rules.forceJoinLeave;
  const events = allowed && (wantsEvents || forced);
  if (behind) {
    const task: CatchUp = { sub, events, from: behind, waiting: false };
    session.beginCatchUp(task);
    catchUp(context, session, task);
  } else goLive(session, sub, events);
  context.tracker.joined(session, sub);
}

/** Ends a subscription from the server's side and tells the client why. */
export function revoke(context: GatewayContext, session: Session, sub: Subscription, why: CloseCode): void {
  const { client, user } = session;
  const { code, reason: message } = why;
  const what = { what: "unsubscribe", channel: sub.channel.id, code, message };
  context.troubles.add({ atMs: Date.now(), user, client, ...what });
  drop(context, session, sub);
  session.send(session.codec.unsubscribePush(sub.channel.id, why.code, why.reason));
}

/** Ends a subscription without a word to the client; presence and the other subscribers are told. */
export function drop(context: GatewayContext, session: Session, sub: Subscription): void {
  detach(context, session, sub);
  context.tracker.left(session, sub, "unsubscribed");
}

/** Takes a subscription off its channel; presence is told elsewhere. */
export function detach(context: GatewayContext, session: Session, sub: Subscription): void {
  if (session.subs.get(sub.channel.id) === sub) {
    session.subs.delete(sub.channel.id);
    Stats.bump(context.stats.subscriptions, sub.channel.name.namespace, -1);
  }
  sub.channel.leave(session);
  context.hub.release(sub.channel, 0);
}
