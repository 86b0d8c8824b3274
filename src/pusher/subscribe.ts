import { CommandError, Errors } from "../core/errors.ts";
import { Stats } from "../core/stats.ts";
import type { Channel } from "../gateway/channel/channel.ts";
import type { Trouble } from "../gateway/instance/trouble.ts";
import { failureLabel, noteRefusal } from "../gateway/session/failure.ts";
import type { Session } from "../gateway/session/session.ts";
import { logOf } from "../gateway/session/session-log.ts";
import { infoOf, type Subscription } from "../gateway/session/subscription.ts";
import { acquireFor } from "../gateway/subscribe/acquire.ts";
import { addSubscription, admit, countRing, detach, drop } from "../gateway/subscribe/attach.ts";
import { prepareFor } from "../gateway/subscribe/prepare.ts";
import type { PusherMessage } from "../protocol/pusher/message.ts";
import { cacheMiss, subscriptionError, subscriptionSucceeded } from "../protocol/pusher/pusher.ts";
import {
  CACHE_MS,
  channelKind,
  isChannelName,
  type PusherChannelKind,
  pusherChannel,
  pusherName,
  userChannelOf,
  userOfChannel,
} from "./apps.ts";
import type { ChannelUsers } from "./channel-users.ts";
import type { PusherContext } from "./context.ts";
import type { Failure, RefusalType } from "./failures.ts";
import { readUser } from "./member.ts";
import { resumeFrom, resumePoint } from "./resume.ts";
import { channelText, splitAuth, verify } from "./signature.ts";
import type { PusherState, SignedIn } from "./state.ts";

/** The application's server is told so often, at most, that a cache channel has nothing to give. */
const MISS_EVERY_MS = 10_000;

/** When a subscriber last found nothing in a cache channel that was kept, ms of the monotonic clock. */
const missedAt = new WeakMap<Channel, number>();

/** A subscribe that was let in. */
interface Wanted {
  readonly name: string;
  readonly kind: PusherChannelKind;
  /** Who the client is in the channel; in presence channels and its own user's channel only. */
  readonly member?: SignedIn;
  /** Says in place of the answer why the client hears the channel: it has not asked for it yet. */
  readonly unasked?: () => void;
}

/** Refuses one subscribe; the client is told. */
class Refusal extends Error {
  readonly type: RefusalType;
  readonly status: number;

  constructor(type: RefusalType, message: string, status: number) {
    super(message);
    this.type = type;
    this.status = status;
  }
}

const notAuthorized = (why: string) => new Refusal("AuthError", why, 401);

/**
 * Carries out `pusher:subscribe`: in one step when everything that is needed is in memory, as a reconnect storm wants
 * it. @returns a promise only otherwise; what a failure is counted under
 */
export function pusherSubscribe(
  context: PusherContext,
  session: Session,
  state: PusherState,
  fields: Readonly<Record<string, unknown>>,
): Promise<Failure> | Failure {
  const name = typeof fields.channel === "string" ? fields.channel : "";
  const failed = (error: unknown) => {
    const label = error instanceof Refusal ? error.type : failureLabel(error);
    Stats.bump(context.stats.errorCodes, label);
    noteRefusal(context, session, refusalOf(session, state, name, error));
    if (error instanceof Refusal) {
      session.send(subscriptionError(name, error.type, error.message, error.status));
      return label;
    }
    if (!(error instanceof CommandError))
      logOf(context.log, session).error("a subscribe failed", { channel: name, error });
    const temporary = error instanceof CommandError ? error.error.temporary : true;
    const message = error instanceof CommandError ? error.error.message : "internal server error";
    session.send(subscriptionError(name, "ServerError", message, temporary ? 503 : 400));
    return label;
  };
  try {
    if (!isChannelName(state.app, name)) throw new Refusal("ChannelError", "malformed channel name", 400);
    const id = pusherChannel(state.app, name);
    const busy = session.subscribing(id);
    const work = busy
      ? busy.then(() => begin(context, session, state, name, fields))
      : begin(context, session, state, name, fields);
    const done = work?.then(() => undefined, failed);
    return session.queuePerChannel<Failure>(id, done);
  } catch (error) {
    return failed(error);
  }
}

/** A refused subscribe as it is remembered. */
function refusalOf({ client, user }: Session, { app }: PusherState, name: string, error: unknown): Trouble {
  const { code } = error instanceof CommandError ? error.error : Errors.internal;
  return {
    ...{ atMs: Date.now(), client, user, what: "subscribe" },
    channel: isChannelName(app, name) ? pusherChannel(app, name) : name,
    code: error instanceof Refusal ? error.status : code,
    message: error instanceof Error ? error.message : Errors.internal.message,
  };
}

function begin(
  context: PusherContext,
  session: Session,
  state: PusherState,
  name: string,
  fields: Readonly<Record<string, unknown>>,
): Promise<void> | undefined {
  if (session.state !== "open") return undefined;
  const known = session.subs.get(pusherChannel(state.app, name));
  const kind = channelKind(name);
  if (known) {
    const list = kind.access === "presence" ? context.channelUsers.known(known.channel) : undefined;
    session.send(subscriptionSucceeded(name, list?.users));
    return undefined;
  }
  const wanted = authorize(context, session, state, name, fields);
  if (kind.access !== "public") state.authorized = true;
  if (session.hasChannels(state.app.limits.channels)) {
    throw new Refusal("LimitReached", "too many channels", 429);
  }
  const channel = acquireFor(context, session, context.hub.resolve(pusherChannel(state.app, name)));
  if (!isReady(context, channel, state, wanted)) return later(context, session, state, channel, wanted);
  try {
    if (resumePoint(state, channel, name)) context.quotas.recovery(session);
    complete(context, session, state, channel, wanted);
  } finally {
    context.hub.release(channel);
  }
  return undefined;
}

/**
 * Has a connection that signed in hear its user's channel from the moment it is told so, and not only once it has
 * subscribed to the channel: what is sent to the user in between would be lost.
 * @param tell says that it is signed in: called exactly once, right before the first that may be for the user
 * @returns a promise when something must be read first
 */
export function hearUser(
  context: PusherContext,
  session: Session,
  state: PusherState,
  user: SignedIn,
  tell: () => void,
): Promise<void> | undefined {
  const name = userChannelOf(user.id);
  const id = pusherChannel(state.app, name);
  let told = false;
  const unasked = () => {
    if (!told) tell();
    told = true;
  };
  const failed = (error: unknown) => {
    // The client hears of it when it subscribes.
    if (!(error instanceof CommandError)) logOf(context.log, session).error("a sign-in failed", { error });
    unasked();
  };
  const begin = (): Promise<void> | undefined => {
    if (session.state !== "open") return undefined;
    if (session.subs.has(id) || session.hasChannels(state.app.limits.channels)) {
      unasked();
      return undefined;
    }
    const wanted: Wanted = { name, kind: channelKind(name), member: user, unasked };
    const channel = context.hub.acquire(context.hub.resolve(id));
    if (!isReady(context, channel, state, wanted)) {
      return later(context, session, state, channel, wanted).catch(failed);
    }
    try {
      complete(context, session, state, channel, wanted);
    } finally {
      context.hub.release(channel);
    }
    return undefined;
  };
  const busy = session.subscribing(id);
  return session.queuePerChannel(id, busy ? busy.then(begin) : begin());
}

/** @throws Refusal */
function authorize(
  context: PusherContext,
  session: Session,
  { app, user }: PusherState,
  name: string,
  fields: Readonly<Record<string, unknown>>,
): Wanted {
  const kind = channelKind(name);
  if (context.restrictions.denies(session.user, pusherChannel(app, name))) {
    throw notAuthorized("the right to the channel was taken back");
  }
  if (kind.access === "public") return { name, kind };
  if (kind.access === "user") {
    if (!user || userOfChannel(name) !== user.id) throw notAuthorized("the channel of another user");
    return { name, kind, member: user };
  }
  const { auth, channel_data: given } = fields;
  const data = typeof given === "string" ? given : undefined;
  const parts = typeof auth === "string" ? splitAuth(auth) : undefined;
  const secret = parts && context.apps.secretOf(app, parts.key);
  if (!parts || !secret || !verify(secret, channelText(session.client, name, data), parts.signature)) {
    throw notAuthorized("the signature is not that of this connection and channel");
  }
  if (kind.access !== "presence") return { name, kind };
  if (!context.hub.rules(context.hub.resolve(pusherChannel(app, name))).presence) {
    throw new Refusal("ChannelError", "presence is switched off for this application", 403);
  }
  const names = { id: "user_id", info: "user_info" };
  const member = data === undefined ? user : readUser(data, names, app.limits.userInfoBytes);
  if (!member) throw new Refusal("ChannelError", "channel_data names no user, or is too long", 400);
  return { name, kind, member };
}

/** Whether a list of users has no place for one more. */
function isFull({ app }: PusherState, { users }: Pick<ChannelUsers, "users">, user: string): boolean {
  return !users.has(user) && users.size >= app.limits.presenceMembers;
}

/** Whether {@link complete} needs nothing that must be read first. */
function isReady(
  context: PusherContext,
  channel: Channel,
  state: PusherState,
  { name, kind, member }: Wanted,
): boolean {
  if (!channel.live) return false;
  if (member && channel.rules.presence) {
    const list = context.channelUsers.of(channel);
    if (!list.ready || (kind.access === "presence" && isFull(state, list, member.id))) return false;
  }
  if (kind.cache && !channel.newestKnown) return false;
  const from = resumePoint(state, channel, name);
  return !from || countRing(context, channel, from);
}

/** Releases the channel at the end. */
async function later(
  context: PusherContext,
  session: Session,
  state: PusherState,
  channel: Channel,
  wanted: Wanted,
): Promise<void> {
  try {
    await prepareFor(context, session, channel, resumePoint(state, channel, wanted.name));
    if (wanted.kind.cache) await channel.prepareNewest();
    if (wanted.member && channel.rules.presence) {
      const list = context.channelUsers.of(channel);
      await list.load();
      // Nobody is refused for members that have left, of which this instance was not told.
      if (wanted.kind.access === "presence" && isFull(state, list, wanted.member.id)) await list.refresh();
    }
    if (session.state === "open") complete(context, session, state, channel, wanted);
  } finally {
    context.hub.release(channel);
  }
}

/** The synchronous end: answer, then live. */
function complete(
  context: PusherContext,
  session: Session,
  state: PusherState,
  channel: Channel,
  { name, kind, member, unasked }: Wanted,
): void {
  // A later sign-in does not change who the subscriber is in this channel.
  const user = member?.id ?? session.user;
  // Members are told of each other, as Pusher has it, whatever the namespace says for other clients.
  const overrides = kind.access === "presence" ? { joinLeave: true } : {};
  const sub: Subscription = { channel, side: "client", user, info: member?.info, overrides };
  const list = member && channel.rules.presence ? context.channelUsers.of(channel) : undefined;
  const presence = kind.access === "presence" ? list?.users : undefined;
  if (presence && isFull(state, { users: presence }, user)) {
    throw new Refusal("LimitReached", TOO_MANY_MEMBERS, 403);
  }
  // Before the session follows the channel: it finds itself in the list, and everybody else is told.
  list?.arrived(infoOf(session, sub));
  addSubscription(context, session, sub);
  if (unasked) unasked();
  else session.send(subscriptionSucceeded(name, presence));
  const behind = resumeFrom(context, session, state, channel, name);
  if (!session.live) return; // one of these was too much for it
  if (kind.cache && !behind) sendCached(context, session, channel, name);
  if (!session.live) return;
  admit(context, session, sub, kind.access === "presence", behind);
}

const TOO_MANY_MEMBERS = "too many members in the channel";

/** Others, on whatever instances, have taken the last places of a presence channel: the subscription ends. */
export function tellFull(
  context: PusherContext,
  session: Session,
  state: PusherState,
  sub: Subscription,
): void {
  const { channel } = sub;
  if (session.subs.get(channel.id) !== sub) return;
  detach(context, session, sub);
  const name = pusherName(state.app, channel.id) ?? channel.id;
  session.send(subscriptionError(name, "LimitReached", TOO_MANY_MEMBERS, 403));
  // Subscribers here were told of it: they are told that it has left.
  context.channelUsers
    .known(channel)
    ?.refresh()
    .catch((error: unknown) => context.log.error("presence failed", { channel: channel.id, error }));
}

function sendCached(context: PusherContext, session: Session, channel: Channel, name: string): void {
  const { newest } = channel;
  if (newest && newest.publication.timeMs > Date.now() - CACHE_MS) {
    session.send(session.codec.publicationPush(channel.id, newest.encoded(session.codec)));
    return;
  }
  session.send(cacheMiss(name));
  const now = performance.now();
  if (now - (missedAt.get(channel) ?? Number.NEGATIVE_INFINITY) < MISS_EVERY_MS) return;
  missedAt.set(channel, now);
  context.webhooks.cacheMiss(channel.id);
}

/** Whether a message ends a subscription that there is. */
export function endsSubscription(session: Session, state: PusherState, message: PusherMessage): boolean {
  if (message.event !== "pusher:unsubscribe") return false;
  const { channel } = message.fields;
  return typeof channel === "string" && session.subs.get(pusherChannel(state.app, channel)) !== undefined;
}

/** Ends a subscription at the client's wish. There is no answer. */
export function pusherUnsubscribe(
  context: PusherContext,
  session: Session,
  state: PusherState,
  fields: Readonly<Record<string, unknown>>,
): Promise<void> | undefined {
  const { channel: name } = fields;
  if (typeof name !== "string" || name === "") return undefined;
  const id = pusherChannel(state.app, name);
  const busy = session.subscribing(id);
  const unsubscribe = () => {
    const sub = session.subs.get(id);
    if (sub) drop(context, session, sub);
  };
  if (busy) return busy.then(unsubscribe);
  unsubscribe();
  return undefined;
}
