import type { Identity } from "../auth/auth.ts";
import { inboxOf, USER_NAMESPACE } from "../core/channel.ts";
import { Closes, ConnectionError } from "../core/errors.ts";
import type { Position } from "../core/position.ts";
import type { Channel } from "../gateway/channel/channel.ts";
import type { GatewayContext } from "../gateway/context.ts";
import { becomeOpen } from "../gateway/session/open.ts";
import { addSubscription, admit, countRing, subscriptionFor } from "../gateway/subscribe/attach.ts";
import { chunkBytes } from "../gateway/subscribe/catch-up.ts";
import { prepareFor } from "../gateway/subscribe/prepare.ts";
import type { ConnectCommand, RecoverRequest } from "../protocol/centrifuge/command.ts";
import type { SubscribeResult } from "../protocol/centrifuge/replies.ts";
import type { Frame } from "../protocol/codec.ts";
import { askerOf, keepEmulated } from "./asker.ts";
import { addClientSubscriptions, type WantedSubscription } from "./connect-subscriptions.ts";
import { type Admission, admitConnection, replace, withdraw } from "./connection-limit.ts";
import { loadInbox, type PreparedInbox } from "./inbox.ts";
import { positionResult, secondsLeft } from "./position.ts";
import type { CentrifugeSession } from "./session.ts";

type Admitted = Identity & { readonly data?: string };

/** A server-side subscription whose channel is live and pinned. */
interface PreparedSub {
  readonly wanted: WantedSubscription;
  readonly channel: Channel;
  readonly inbox: PreparedInbox | undefined;
  readonly from: RecoverRequest | undefined;
}

/**
 * Carries out `connect`: who is it, may it in, what is it subscribed to from the start. The answer, the joins and
 * everything that has waited behind the command happen in one synchronous step at the end.
 */
export async function connect(
  context: GatewayContext,
  session: CentrifugeSession,
  command: ConnectCommand,
): Promise<void> {
  session.attemptConnect();
  session.queueCommands();
  const prepared: PreparedSub[] = [];
  let admission: Admission;
  try {
    const identity = withLibrary(context, await identify(context, session, command), command);
    if (!session.live) return;
    // First: a refusal is remembered with whose it was.
    session.identify(identity);
    context.restrictions.check(identity, session.handshake.ip);
    session.expireAt(identity.expiresAt ?? 0);
    admission = await admitConnection(context, session);
    if (!session.live) return;
    const wantedSubs = wantedSubscriptions(context, identity);
    if (session.codec.unidirectional) await addClientSubscriptions(context, session, command, wantedSubs);
    if (wantedSubs.size > context.options.channels) throw new ConnectionError(Closes.channelLimit);
    for (const wanted of wantedSubs.values()) {
      prepared.push(await prepare(context, session, command, wanted));
    }
    if (!session.live) return;
    // Looked at again in the step that opens: what was taken back meanwhile found no open session.
    context.restrictions.check(identity, session.handshake.ip);
    const allowed = prepared.filter(({ channel }) => !context.restrictions.denies(session.user, channel.id));
    // In one write: the answer, and those to the subscribes that came with the connect.
    session.cork(() => open(context, session, { command, identity, prepared: allowed, admission }));
  } finally {
    if (admission && !session.identified) withdraw(context, session);
    for (const { channel } of prepared) context.hub.release(channel);
    if (session.state !== "open") session.dropQueue();
  }
}

/** Who it is, with the library that the client says it uses. */
function withLibrary(
  { libraries }: GatewayContext,
  identity: Admitted,
  { name, version }: ConnectCommand,
): Admitted {
  return name === "" && version === "" ? identity : { ...identity, library: libraries.of(name, version) };
}

async function identify(
  context: GatewayContext,
  session: CentrifugeSession,
  command: ConnectCommand,
): Promise<Admitted> {
  const { options, callouts, authenticator } = context;
  const anonymous = options.anonymous || options.insecure;
  keepEmulated(context, session, command.headers);
  if (command.token !== "") {
    const identity = await authenticator.connection(command.token);
    if (identity.user === "" && !anonymous)
      throw new ConnectionError(Closes.permissionDenied, "anonymous token");
    return identity;
  }
  if (options.connectCallout) {
    const identity = await callouts(options.connectCallout).connect({
      ...askerOf(session),
      origin: session.handshake.origin,
      name: command.name,
      version: command.version,
      channels: [...command.subs.keys()],
      data: command.data,
      commandHeaders: command.headers,
    });
    // Who was let in without a token was so now.
    return { ...identity, issuedAt: identity.issuedAt ?? nowSeconds() };
  }
  if (!anonymous) throw new ConnectionError(Closes.badRequest, "no credentials");
  return { user: "", subscriptions: [], capabilities: [], issuedAt: nowSeconds() };
}

const nowSeconds = () => Math.floor(Date.now() / 1_000);

/** Everyone's channels, what the token asks for and the user's inbox, each once. */
function wantedSubscriptions(context: GatewayContext, identity: Identity): Map<string, WantedSubscription> {
  const wanted = new Map<string, WantedSubscription>();
  for (const channel of context.options.everyone) wanted.set(channel, { channel });
  for (const sub of identity.subscriptions) wanted.set(sub.channel, sub);
  if (identity.user !== "" && context.namespaces.has(USER_NAMESPACE)) {
    const channel = inboxOf(identity.user);
    wanted.set(channel, { ...wanted.get(channel), channel });
  }
  return wanted;
}

async function prepare(
  context: GatewayContext,
  session: CentrifugeSession,
  command: ConnectCommand,
  wanted: WantedSubscription,
): Promise<PreparedSub> {
  const name = context.hub.resolve(wanted.channel);
  if (name.namespace === USER_NAMESPACE && wanted.channel !== inboxOf(session.user)) {
    throw new ConnectionError(Closes.permissionDenied, "a token names another user's inbox");
  }
  const channel = context.hub.acquire(name);
  try {
    const resumed = session.handshake.resume?.get(wanted.channel);
    const from = resumed ? { recover: true, ...resumed } : command.subs.get(wanted.channel);
    if (from?.recover) countRing(context, channel, from);
    await prepareFor(context, session, channel, from?.recover ? from : undefined, "connect");
    const isInbox = name.namespace === USER_NAMESPACE;
    const inbox = isInbox ? await loadInbox(context, session, channel, from) : undefined;
    return { wanted, channel, inbox, from };
  } catch (error) {
    context.hub.release(channel);
    throw error;
  }
}

/** What a session is opened with. */
interface Opening {
  readonly command: ConnectCommand;
  readonly identity: Admitted;
  readonly prepared: readonly PreparedSub[];
  readonly admission: Admission;
}

const lengthOf = (frames: readonly Frame[]) => frames.reduce((sum, { length }) => sum + length, 0);

/** The synchronous end: from here on the session is open. */
function open(
  context: GatewayContext,
  session: CentrifugeSession,
  { command, identity, prepared, admission }: Opening,
): void {
  const subs = new Map<string, SubscribeResult>();
  const waiting: Frame[] = [];
  const late = new Map<Channel, Position>();
  for (const { wanted, channel, inbox, from } of prepared) {
    const sub = subscriptionFor(channel, "server", wanted);
    addSubscription(context, session, sub);
    const news = inbox?.result(channel, session.codec, chunkBytes(context));
    if (news) {
      waiting.push(...news.pushes);
      context.quotas.recovered(session, lengthOf(news.pushes) + lengthOf(news.result.publications));
    }
    const { result, behind } = news ?? positionResult(context, session, sub, from);
    if (behind) late.set(channel, behind);
    subs.set(channel.id, wanted.data === undefined ? result : { ...result, data: wanted.data });
  }
  becomeOpen(context, session, admission !== undefined);
  replace(context, session, admission);
  session.send(
    session.codec.connect(command.id, {
      client: session.client,
      version: context.version,
      data: identity.data,
      ping: Math.round(context.options.pingIntervalMs / 1000),
      pong: !session.codec.unidirectional,
      ttl: context.options.refreshCallout === false ? secondsLeft(session.expiresAt) : undefined,
      subs,
      node: context.instance,
      session: session.handshake.session,
      timeMs: Date.now(),
    }),
  );
  for (const push of waiting) session.send(push);
  if (!session.live) return; // one of them was too much for it
  for (const { channel } of prepared) {
    admit(context, session, session.subs.get(channel.id)!, false, late.get(channel));
  }
  context.liveness.connected(session);
  if (waiting.length > 0) context.liveness.inboxDelivered(session);
  session.flushQueue();
}
