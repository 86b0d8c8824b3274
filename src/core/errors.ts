/**
 * The one table of errors, unsubscribe codes and close codes. Nothing else in the project writes a literal code.
 *
 * Numbers and their meaning for reconnection follow the Centrifuge client protocol v2: closes 3000–3499, 4000–4499
 * and ≥ 5000 make a stock client reconnect, 3500–3999 and 4500–4999 are terminal; unsubscribe codes ≥ 2500 make it
 * subscribe again, lower ones are final; an error with `temporary` is retried by the client with backoff.
 */

/** An answer to one command. `temporary` asks the client to try again later. */
export interface ErrorCode {
  readonly code: number;
  readonly message: string;
  readonly temporary?: true;
}

/** Why a connection is closed. The range of `code` decides whether a stock client comes back. */
export interface CloseCode {
  readonly code: number;
  readonly reason: string;
}

/** Errors a command can be answered with. */
export const Errors = {
  internal: { code: 100, message: "internal server error", temporary: true },
  unauthorized: { code: 101, message: "unauthorized" },
  unknownChannel: { code: 102, message: "unknown channel" },
  permissionDenied: { code: 103, message: "permission denied" },
  methodNotFound: { code: 104, message: "method not found" },
  alreadySubscribed: { code: 105, message: "already subscribed" },
  limitExceeded: { code: 106, message: "limit exceeded" },
  badRequest: { code: 107, message: "bad request" },
  notAvailable: { code: 108, message: "not available" },
  tokenExpired: { code: 109, message: "token expired" },
  expired: { code: 110, message: "expired" },
  tooManyRequests: { code: 111, message: "too many requests", temporary: true },
  unrecoverablePosition: { code: 112, message: "unrecoverable position" },
  concurrentPagination: { code: 113, message: "concurrent pagination", temporary: true },
  /** The broker is unreachable and the publish was not stored: the client may try again. */
  brokerUnavailable: { code: 100, message: "broker unavailable", temporary: true },
  /** No service answered an RPC in time. */
  timeout: { code: 100, message: "timed out", temporary: true },
} as const satisfies Record<string, ErrorCode>;

/** Reasons the server ends one subscription. */
export const Unsubscribes = {
  server: { code: 2000, reason: "server unsubscribe" },
  permissionDenied: { code: 2001, reason: "permission denied" },
  insufficientState: { code: 2500, reason: "insufficient state" },
  expired: { code: 2501, reason: "subscription expired" },
  stateInvalidated: { code: 2502, reason: "state invalidated" },
} as const satisfies Record<string, CloseCode>;

/** Reasons the server ends a connection. */
export const Closes = {
  connectionClosed: { code: 3000, reason: "connection closed" },
  shutdown: { code: 3001, reason: "shutdown" },
  internal: { code: 3004, reason: "internal server error" },
  connectionExpired: { code: 3005, reason: "connection expired" },
  subscriptionExpired: { code: 3006, reason: "subscription expired" },
  slow: { code: 3008, reason: "slow" },
  writeError: { code: 3009, reason: "write error" },
  insufficientState: { code: 3010, reason: "insufficient state" },
  forceReconnect: { code: 3011, reason: "force reconnect" },
  noPong: { code: 3012, reason: "no pong" },
  tooManyRequests: { code: 3013, reason: "too many requests" },
  stateInvalidated: { code: 3014, reason: "state invalidated" },
  /** Shed under overload: come back later, somewhere else. */
  overloaded: { code: 3020, reason: "overloaded" },
  /** The instance has lost its broker, and others have not: come back there. */
  cannotServe: { code: 3021, reason: "cannot serve" },
  invalidToken: { code: 3500, reason: "invalid token" },
  badRequest: { code: 3501, reason: "bad request" },
  stale: { code: 3502, reason: "stale" },
  forceDisconnect: { code: 3503, reason: "force disconnect" },
  connectionLimit: { code: 3504, reason: "connection limit" },
  channelLimit: { code: 3505, reason: "channel limit" },
  inappropriateProtocol: { code: 3506, reason: "inappropriate protocol" },
  permissionDenied: { code: 3507, reason: "permission denied" },
  notAvailable: { code: 3508, reason: "not available" },
  tooManyErrors: { code: 3509, reason: "too many errors" },
  /** A newer connection of the same user or device took this one's place. */
  replaced: { code: 4501, reason: "replaced by a newer connection" },
  /** The user, or the address, is blocked for a time. */
  blocked: { code: 4502, reason: "blocked" },
} as const satisfies Record<string, CloseCode>;

/** What a failed command was about, where neither it nor its connection says so; for whoever asks why, never for the client. */
export interface About {
  /** Whom a token names whose signature was good. */
  readonly user?: string;
  readonly channel?: string;
  readonly what?: string;
}

/** Fails one command: the client gets `error` as its answer and the connection lives on. */
export class CommandError extends Error {
  readonly error: ErrorCode;
  readonly about: About | undefined;
  /** @param detail for the log only; never sent to a client, must hold no secret */
  constructor(error: ErrorCode, detail?: string, about?: About) {
    super(detail === undefined ? error.message : `${error.message}: ${detail}`);
    this.name = "CommandError";
    this.error = error;
    this.about = about;
  }

  /** The same, with what it was about. */
  in(about: About): CommandError {
    const detail = this.message.slice(this.error.message.length + 2);
    return new CommandError(this.error, detail || undefined, { ...about, ...this.about });
  }
}

/** Fails the whole connection: it is closed with `close`. */
export class ConnectionError extends Error {
  readonly close: CloseCode;
  /** @param detail for the log only; never sent to a client, must hold no secret */
  constructor(close: CloseCode, detail?: string) {
    super(detail === undefined ? close.reason : `${close.reason}: ${detail}`);
    this.name = "ConnectionError";
    this.close = close;
  }
}

/** Whether a stock Centrifuge client reconnects by itself after this close code. */
export function reconnects(code: number): boolean {
  return (
    (code < 3500 || (code >= 4000 && code < 4500) || code >= 5000) && code !== 1009 // message too big is terminal in centrifuge-js
  );
}

/** Close codes of a client that ended its own connection in order: normal closure, and none given (RFC 6455 §7.4.1). */
const GOODBYES: readonly number[] = [1000, 1005];

/**
 * Whether somebody whose connection ended with this code may be back in a moment. One that was told to stay away is not
 * expected, nor one that said goodbye; a page that is left (1001) may be one that is loaded anew, and a link that broke
 * (1006) says nothing at all.
 */
export function mayBeBack(code: number): boolean {
  return reconnects(code) && !GOODBYES.includes(code);
}
