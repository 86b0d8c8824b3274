import type { Publication } from "../../core/publication.ts";
import { strictUtf8Decoder } from "../../core/text.ts";
import type { Codec } from "../codec.ts";
import { count, int32, jsonText } from "../fields.ts";
import { pusherClose } from "./codes.ts";
import { decodePusherFrame } from "./decode.ts";
import type { PusherMessage } from "./message.ts";

const quote = JSON.stringify as (value: string) => string;

/** What is known of a member of whom nothing else is: pages read its members without a look. */
const NO_INFO = "{}";

/** The event of a message whose publisher named none. */
const DEFAULT_EVENT = "message";

/**
 * The Pusher protocol, version 7: text frames, each one JSON object with `event`, and `data` that is a JSON string.
 * Channels have the names clients know them by, without their namespace.
 */
export const pusher = {
  name: "pusher",
  ping: '{"event":"pusher:ping","data":"{}"}',
  // The protocol has clients whose WebSockets know pings answer those alone.
  pingsByFrame: true,
  closing: pusherClose,

  decode: (frame) => [
    typeof frame === "string"
      ? decodePusherFrame(frame)
      : { method: "malformed", detail: "binary frame on a Pusher connection" },
  ],

  byUser: true,
  countPush: subscriptionCount,
  publication,
  publicationPush: (channel, encoded) => `{"channel":${quote(bare(channel))},${encoded as string}}`,

  memberPush: (channel, kind, info) =>
    kind === "join"
      ? memberAdded(channel, info.user, info.chanInfo ?? info.connInfo)
      : memberRemoved(channel, info.user),
  unsubscribePush: (channel, _code, reason) => subscriptionError(bare(channel), "Unsubscribed", reason, 403),
} as const satisfies Codec<PusherMessage>;

/** The same for clients below version 6, which are told by an event why a connection ends. */
export const pusherBefore6 = {
  ...pusher,
  lastWord: ({ code, reason }) => pusherError({ code, message: reason }),
} as const satisfies Codec<PusherMessage>;

/** The name of a channel without its namespace. */
function bare(channel: string): string {
  return channel.slice(channel.indexOf(":") + 1);
}

/** The members of an event but its channel. */
function publication(pub: Publication): string {
  const { data, event = DEFAULT_EVENT, info } = pub;
  let text = `"event":${quote(event)},"data":${typeof data === "string" ? dataMember(data) : quote(asText(data))}`;
  // Only of an event a client has sent, and only where its user is known.
  if (pub.offset === 0 && info?.user && event.startsWith("client-")) text += `,"user_id":${quote(info.user)}`;
  return text;
}

/** A body as the string it stands for (`pusher-data.ts`): the text of JSON, and of a JSON string its content. */
function dataMember(body: string): string {
  const text = jsonText("data", body);
  return /^\s*"/.test(text) ? text : quote(text);
}

/** Bytes have no JSON form: what is no text is given in base64. */
function asText(bytes: Uint8Array): string {
  try {
    return strictUtf8Decoder.decode(bytes);
  } catch {
    return bytes.toBase64();
  }
}

/** A server event about a channel; `data` is JSON text. */
function event(name: string, channel: string | undefined, data: string): string {
  const where = channel === undefined ? "" : `,"channel":${quote(channel)}`;
  return `{"event":"${name}"${where},"data":${quote(data)}}`;
}

// ── what only this protocol says; channels by the names clients know ────────────────────────────────────────────

export function connectionEstablished(socketId: string, activityTimeout: number): string {
  const data = `{"socket_id":${quote(socketId)},"activity_timeout":${int32("activity_timeout", activityTimeout)}}`;
  return event("pusher:connection_established", undefined, data);
}

export const PONG = '{"event":"pusher:pong","data":"{}"}';

/**
 * The one event whose `data` is an object, not the text of one.
 * @param channel which it is about: clients hand it to whoever listens there
 */
export function pusherError(
  error: { readonly code: number; readonly message: string },
  channel?: string,
): string {
  const where = channel ? `,"channel":${quote(channel)}` : "";
  const data = `{"code":${int32("code", error.code)},"message":${quote(error.message)}}`;
  return `{"event":"pusher:error"${where},"data":${data}}`;
}

/** @param users who is there, with what is known of each as JSON text; only in presence channels */
export function subscriptionSucceeded(
  channel: string,
  users?: ReadonlyMap<string, string | undefined>,
): string {
  if (!users) return event("pusher_internal:subscription_succeeded", channel, "{}");
  const ids = Array.from(users.keys(), quote);
  const hash = Array.from(
    users,
    ([id, info]) => `${quote(id)}:${info === undefined ? NO_INFO : jsonText("hash", info)}`,
  );
  const presence = `{"ids":[${ids.join()}],"hash":{${hash.join()}},"count":${users.size}}`;
  return event("pusher_internal:subscription_succeeded", channel, `{"presence":${presence}}`);
}

export function subscriptionError(channel: string, type: string, error: string, status: number): string {
  const data = `{"type":${quote(type)},"error":${quote(error)},"status":${int32("status", status)}}`;
  return event("pusher:subscription_error", channel, data);
}

function memberAdded(channel: string, user: string, info: string | undefined): string {
  const member = info === undefined ? NO_INFO : jsonText("user_info", info);
  return event(
    "pusher_internal:member_added",
    bare(channel),
    `{"user_id":${quote(user)},"user_info":${member}}`,
  );
}

function memberRemoved(channel: string, user: string): string {
  return event("pusher_internal:member_removed", bare(channel), `{"user_id":${quote(user)}}`);
}

function subscriptionCount(channel: string, subscribers: number): string {
  const data = `{"subscription_count":${count("subscription_count", subscribers)}}`;
  return event("pusher_internal:subscription_count", bare(channel), data);
}

export function cacheMiss(channel: string): string {
  return event("pusher:cache_miss", channel, "{}");
}

export function signinSuccess(userData: string): string {
  return event("pusher:signin_success", undefined, `{"user_data":${quote(userData)}}`);
}

/** Who of those a user follows is online, or is not. Kinds without anybody are left out. */
export function watchlistEvents(online: readonly string[], offline: readonly string[]): string {
  const events = [
    ...(online.length > 0 ? [{ name: "online", user_ids: online }] : []),
    ...(offline.length > 0 ? [{ name: "offline", user_ids: offline }] : []),
  ];
  return event("pusher_internal:watchlist_events", undefined, JSON.stringify({ events }));
}

/** For the add-on that resumes: where in the channel the client is now, or (not `whole`) that something was lost. */
export function position(
  channel: string,
  { epoch, offset }: { readonly epoch: string; readonly offset: number },
  whole: boolean,
): string {
  const data = `{"epoch":${quote(epoch)},"offset":${count("offset", offset)},"recovered":${whole}}`;
  return event("trunkline:position", channel, data);
}
