import type { SubscriptionGrant } from "../auth/auth.ts";
import { type ChannelName, USER_NAMESPACE } from "../core/channel.ts";
import { Closes, CommandError, ConnectionError, Errors } from "../core/errors.ts";
import type { Channel } from "../gateway/channel/channel.ts";
import { type KeptAfter, readKept } from "../gateway/channel/recovery.ts";
import type { GatewayContext } from "../gateway/context.ts";
import { lacking, mayAccess } from "../gateway/subscribe/access.ts";
import { acquireFor } from "../gateway/subscribe/acquire.ts";
import { addSubscription, admit, countRing, drop, subscriptionFor } from "../gateway/subscribe/attach.ts";
import { prepareFor, readFor } from "../gateway/subscribe/prepare.ts";
import type { RecoverRequest, SubscribeCommand } from "../protocol/centrifuge/command.ts";
import { askerOf } from "./asker.ts";
import { positionResult } from "./position.ts";
import type { CentrifugeSession } from "./session.ts";
import { hasReloaded, rememberRefused } from "./unproven.ts";

type Grant = SubscriptionGrant & { readonly data?: string };

/** What the synchronous end of a subscribe is given. */
interface Prepared {
  readonly grant: Grant;
  /** What is kept after a position that nothing proves, for a client that has reloaded its state. */
  readonly kept?: KeptAfter | undefined;
}

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
  session: CentrifugeSession,
  command: SubscribeCommand,
): Promise<void> | undefined {
  if (command.channel === "") throw new ConnectionError(Closes.badRequest, "subscribe without a channel");
  const name = context.hub.resolve(command.channel);
  if (session.subs.has(name.id)) throw new CommandError(Errors.alreadySubscribed);
  if (session.hasChannels(context.options.channels)) {
    throw new CommandError(Errors.limitExceeded, `limits.channels is ${context.options.channels}`);
  }
  if (command.type > 0) throw new CommandError(Errors.notAvailable, "only stream subscriptions are served");
  if (context.restrictions.denies(session.user, name.id))
    throw new CommandError(Errors.permissionDenied, "the right to the channel was taken back");
  const rules = context.hub.rules(name);
  const asked = command.token !== "" || rules.subscribeCallout !== false;
  if (!asked && !mayAccess(context, session, name, "sub")) {
    throw new CommandError(Errors.permissionDenied, lacking(rules, "sub"));
  }

  if (asked) return subscribeAsked(context, session, command, name);
  const channel = acquireFor(context, session, name);
  const from = recoverFrom(command, channel);
  const known = !from || (countRing(context, channel, from) && !hasReloaded(session, channel, command));
  const ready = channel.live && known;
  if (!ready) return subscribeLater(context, session, command, channel, PLAIN);
  try {
    if (from) context.quotas.recovery(session);
    complete(context, session, command, channel, { grant: PLAIN });
  } finally {
    context.hub.release(channel);
  }
  return undefined;
}

/** The position a subscriber wants to recover from, where the namespace lets it. */
function recoverFrom(command: SubscribeCommand, { rules }: Channel): RecoverRequest | undefined {
  return command.recover && rules.recovery !== "off" ? command : undefined;
}

/** Checks rights first: attaching a channel costs a NATS subscription. */
async function subscribeAsked(
  context: GatewayContext,
  session: CentrifugeSession,
  command: SubscribeCommand,
  name: ChannelName,
): Promise<void> {
  const grant = await authorize(context, session, command, name);
  if (session.state !== "open") return;
  await subscribeLater(context, session, command, acquireFor(context, session, name), grant);
}

/** Releases the channel at the end. */
async function subscribeLater(
  context: GatewayContext,
  session: CentrifugeSession,
  command: SubscribeCommand,
  channel: Channel,
  grant: Grant,
): Promise<void> {
  try {
    const from = recoverFrom(command, channel);
    await prepareFor(context, session, channel, from);
    const since = from && hasReloaded(session, channel, command) ? channel.current(from) : undefined;
    const unproven = since && channel.recover(since).outcome === "unproven";
    const kept = unproven
      ? await readFor(context, session, channel, () => readKept(context.reads, channel, since))
      : undefined;
    if (session.state === "open") complete(context, session, command, channel, { grant, kept });
  } finally {
    context.hub.release(channel);
  }
}

/** Asks the token, then the service where the namespace says so. */
export async function authorize(
  context: GatewayContext,
  session: CentrifugeSession,
  command: Pick<SubscribeCommand, "token" | "data">,
  name: ChannelName,
): Promise<Grant> {
  const { id } = name;
  const rules = context.hub.rules(name);
  if (rules.name === USER_NAMESPACE) throw new CommandError(Errors.permissionDenied);
  if (command.token !== "") {
    if (rules.subscribe === "nobody") throw new CommandError(Errors.permissionDenied, lacking(rules, "sub"));
    return await context.authenticator.subscription(command.token, id, session.user);
  }
  if (!rules.subscribeCallout) return PLAIN;
  const service = context.callouts(rules.subscribeCallout);
  const asked = { ...askerOf(session), channel: id, data: command.data };
  return await context.quotas.call(session, name.namespace, () => service.subscribe(asked));
}

/** The synchronous end: answer, then live. */
function complete(
  context: GatewayContext,
  session: CentrifugeSession,
  command: SubscribeCommand,
  channel: Channel,
  { grant, kept }: Prepared,
): void {
  const delta = command.delta && channel.rules.delta && session.codec.deltas !== undefined;
  const sub = subscriptionFor(channel, "client", grant, delta);
  const from = command.recover ? command : undefined;
  const { result, behind, unproven } = positionResult(context, session, sub, from, kept);
  if (command.rejectUnrecovered && result.wasRecovering && !result.recovered) {
    if (unproven) rememberRefused(session, channel, command);
    throw new CommandError(Errors.unrecoverablePosition);
  }
  addSubscription(context, session, sub);
  const data = grant.data === undefined ? result : { ...result, data: grant.data };
  session.send(session.codec.subscribe(command.id, data));
  if (!session.live) return; // that was too much for it
  admit(context, session, sub, command.joinLeave, behind);
  if (sub.expiresAt !== undefined) context.liveness.reschedule(session);
}

/** Ends a client's own subscription at its wish. Unknown channels are no error: an error would make SDKs reconnect. */
export function unsubscribe(context: GatewayContext, session: CentrifugeSession, channel: string): void {
  if (channel === "") throw new ConnectionError(Closes.badRequest, "unsubscribe without a channel");
  const sub = session.subs.get(channel);
  if (sub?.side === "server") throw new CommandError(Errors.permissionDenied, "a server-side subscription");
  if (sub) drop(context, session, sub);
}
