import { type CloseCode, Closes, type ErrorCode, reconnects } from "../../core/errors.ts";

/**
 * Reasons a connection of the Pusher protocol is closed. Of its clients, 4000 to 4099 must not come back unchanged,
 * 4100 to 4199 come back after a second, 4200 to 4299 at once; a higher code is never closed with.
 */
export const PusherCloses = {
  unknownApp: { code: 4001, reason: "application does not exist" },
  appDisabled: { code: 4003, reason: "application disabled" },
  overQuota: { code: 4004, reason: "application over connection quota" },
  unknownPath: { code: 4005, reason: "path not found" },
  invalidVersion: { code: 4006, reason: "invalid version string format" },
  unsupportedProtocol: { code: 4007, reason: "unsupported protocol version" },
  noProtocol: { code: 4008, reason: "no protocol version supplied" },
  unauthorized: { code: 4009, reason: "connection not authorized" },
  badRequest: { code: 4010, reason: "malformed message" },
  overCapacity: { code: 4100, reason: "over capacity" },
  reconnect: { code: 4200, reason: "reconnect immediately" },
  noPong: { code: 4201, reason: "pong reply not received" },
} as const satisfies Record<string, CloseCode>;

/** What a client of the Pusher protocol is told in `pusher:error`, or (`status`) in `pusher:subscription_error`. */
export const PusherErrors = {
  unauthorized: { code: 4009, message: "not authorized" },
  clientEvent: { code: 4301, message: "client event rejected" },
  clientEventRate: { code: 4301, message: "client event rejected: too many in a second" },
  appRate: { code: 4301, message: "client event rejected: too many messages of the application in a second" },
  unknownEvent: { code: 4303, message: "unknown event: names of client events begin with client-" },
  watchlist: { code: 4302, message: "the watchlist is too long: its first members are followed" },
} as const satisfies Record<string, ErrorCode>;

/** Close codes of {@link Closes} that a client of the Pusher protocol acts on in its own way. */
const PUSHER_CLOSES = new Map<number, CloseCode>([
  [Closes.badRequest.code, PusherCloses.badRequest],
  [Closes.noPong.code, PusherCloses.noPong],
  [Closes.insufficientState.code, PusherCloses.reconnect],
]);

/**
 * How a connection of the Pusher protocol is closed for a reason of {@link Closes}, or for one that a service gave.
 * A client that reconnects does so after a second: these clients have no jitter of their own, and a drain paces them.
 */
export function pusherClose(close: CloseCode): CloseCode {
  const { code, reason } = close;
  const own = PUSHER_CLOSES.get(code);
  if (own) return own;
  if (code >= 4000 && code < 4300) return close;
  const like = reconnects(code) ? PusherCloses.overCapacity : PusherCloses.unauthorized;
  return { code: like.code, reason };
}
