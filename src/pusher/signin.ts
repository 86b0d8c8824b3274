import { idOf, rawItems, rawMember } from "../core/json-text.ts";
import type { Channel } from "../gateway/channel/channel.ts";
import type { Session } from "../gateway/session/session.ts";
import { PusherErrors } from "../protocol/pusher/codes.ts";
import { pusherError, signinSuccess, watchlistEvents } from "../protocol/pusher/pusher.ts";
import { isUserId, pusherChannel, pusherUser, userChannelOf } from "./apps.ts";
import type { PusherContext } from "./context.ts";
import { countError, type Failure } from "./failures.ts";
import { readUser } from "./member.ts";
import { signinText, splitAuth, verify } from "./signature.ts";
import type { PusherState } from "./state.ts";
import { hearUser } from "./subscribe.ts";

/** Longest list of users one user may follow. */
const MAX_WATCHED = 100;

/** What a user may be known by, with their watchlist, bytes; the rest of `user_data` has the application's limit. */
const WATCHLIST_BYTES = 32_768;

/** A client says which user it is; the application has signed it. */
export function signin(
  context: PusherContext,
  session: Session,
  state: PusherState,
  fields: Readonly<Record<string, unknown>>,
): Promise<Failure> | Failure {
  const { app } = state;
  const { auth, user_data: userData } = fields;
  const refuse = (why: string) => {
    const { code, message } = PusherErrors.unauthorized;
    session.send(pusherError({ code, message: `${message}: ${why}` }));
    return countError(context.stats, code);
  };
  if (typeof auth !== "string" || typeof userData !== "string")
    return refuse("auth and user_data are missing");
  const parts = splitAuth(auth);
  const secret = parts && context.apps.secretOf(app, parts.key);
  if (!parts || !secret || !verify(secret, signinText(session.client, userData), parts.signature)) {
    return refuse("the signature is not that of this connection and user");
  }
  const limitBytes = app.limits.userInfoBytes + WATCHLIST_BYTES;
  const user = readUser(userData, { id: "id", info: "user_info" }, limitBytes);
  if (!user) return refuse("user_data names no user, or is too long");
  if ((user.info?.length ?? 0) > app.limits.userInfoBytes) return refuse("user_info is too long");
  if (state.user && state.user.id !== user.id) return refuse("signed in as another user");
  const watchlist = readWatchlist(userData);
  if (!state.user) {
    const identity = { ...session.identity, user: pusherUser(app, user.id) };
    const close = context.restrictions.closes(identity, session.handshake.ip);
    if (close) {
      session.close(close);
      return undefined;
    }
    state.user = user;
    state.authorized = true;
    session.identify(identity);
    context.hub.addUser(session);
    context.tracker.identified(session);
  }
  const heard = hearUser(context, session, state, user, () => session.send(signinSuccess(userData)));
  const follow = () => {
    if (watchlist.length > MAX_WATCHED) session.send(pusherError(PusherErrors.watchlist));
    if (watchlist.length === 0 || state.watched.length > 0 || !session.live) return undefined;
    return watch(context, session, state, watchlist.slice(0, MAX_WATCHED));
  };
  return heard ? heard.then(follow) : follow();
}

function readWatchlist(userData: string): string[] {
  const list = rawMember(userData, "watchlist");
  const ids = list?.startsWith("[") ? rawItems(list).map(idOf) : [];
  return [...new Set(ids)].filter((id) => id !== undefined && isUserId(id)) as string[];
}

/** Tells who of the watchlist is online, and from then on who comes and goes: online is who hears their own channel. */
async function watch(
  context: PusherContext,
  session: Session,
  state: PusherState,
  ids: readonly string[],
): Promise<undefined> {
  const channels: Channel[] = [];
  for (const id of ids) {
    const name = context.hub.resolve(pusherChannel(state.app, userChannelOf(id)));
    if (context.hub.rules(name).presence) channels.push(context.hub.acquire(name));
  }
  try {
    await Promise.all(
      channels.map(async (channel) => {
        await channel.prepare();
        await context.channelUsers.of(channel).load();
      }),
    );
  } catch (error) {
    for (const channel of channels) context.hub.release(channel);
    throw error;
  }
  if (session.state !== "open") {
    for (const channel of channels) context.hub.release(channel);
    return undefined;
  }
  state.watched = channels;
  const [online, offline]: [string[], string[]] = [[], []];
  for (const [index, channel] of channels.entries()) {
    const list = context.channelUsers.of(channel);
    (list.users.size > 0 ? online : offline).push(ids[index]!);
    list.watch(session);
  }
  session.send(watchlistEvents(online, offline));
  return undefined;
}
