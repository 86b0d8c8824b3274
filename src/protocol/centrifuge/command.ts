import { type About, type ErrorCode, Errors } from "../../core/errors.ts";
import type { Body } from "../../core/publication.ts";

/**
 * What a client of the Centrifuge protocol asks for, in either encoding. Payloads are JSON text, exactly as the client
 * wrote it; only what is published may be bytes, which nobody has looked at yet.
 * Fields follow the client protocol v2 (`definitions/client.proto`).
 */
export type CentrifugeCommand =
  | ConnectCommand
  | SubscribeCommand
  | ChannelCommand<"unsubscribe">
  | ChannelCommand<"presence">
  | ChannelCommand<"presenceStats">
  | PublishCommand
  | HistoryCommand
  | RpcCommand
  | SendCommand
  | RefreshCommand
  | SubRefreshCommand
  | PongCommand
  | RefusedCommand;

/** Longest name or version a client is known by, characters. */
const MAX_LABEL = 255;

/** What a client calls itself or its version: for people alone, so that what is longer than anybody reads is cut. */
export function label(text: string): string {
  return text.length <= MAX_LABEL ? text : text.slice(0, MAX_LABEL).toWellFormed();
}

/**
 * A command that asks for something else than its plain form: to be told only some publications (`tf`), to change a map
 * (`type`, `key`, `removed`), to follow single keys (`track`). None of it is served, and to do the plain thing instead
 * would deliver what nobody asked for.
 */
export function notServed(id: number, what: string, channel: string, member: string): RefusedCommand {
  const about = { what, channel };
  return { method: "refused", id, error: Errors.notAvailable, detail: `\`${member}\` is not served`, about };
}

/** Why a frame of the protocol's first version is no command: its clients are still about. */
export const FIRST_VERSION = "protocol v1, and v2 is spoken here: update the SDK";

/** Where a client wants to go on. */
export interface RecoverRequest {
  readonly recover: boolean;
  readonly offset: number;
  /** Empty: any. */
  readonly epoch: string;
}

/** What a connect command says of one subscription. */
export interface ConnectSubscription extends RecoverRequest {
  /** Subscription token; an addition of ours, for one-way clients, which have no subscribe command. */
  readonly token?: string;
}

export interface ConnectCommand {
  readonly method: "connect";
  readonly id: number;
  readonly token: string;
  readonly data?: string;
  readonly name: string;
  readonly version: string;
  /** Emulated HTTP headers, for auth callouts. */
  readonly headers: Readonly<Record<string, string>>;
  /** Positions in server-side subscriptions, by channel; of one-way clients also what they want to be subscribed to. */
  readonly subs: ReadonlyMap<string, ConnectSubscription>;
}

export interface SubscribeCommand extends RecoverRequest {
  readonly method: "subscribe";
  readonly id: number;
  readonly channel: string;
  readonly token: string;
  readonly data?: string;
  readonly positioned: boolean;
  readonly recoverable: boolean;
  readonly joinLeave: boolean;
  /** The client wants error 112 instead of `recovered: false` (flag bit 2). */
  readonly rejectUnrecovered: boolean;
  /** It would take differences (`delta: "fossil"`). */
  readonly delta: boolean;
  /** Kinds of subscription other than a stream (map, shared poll) are not served. */
  readonly type: number;
}

interface ChannelCommand<Method extends string> {
  readonly method: Method;
  readonly id: number;
  readonly channel: string;
}

export interface PublishCommand {
  readonly method: "publish";
  readonly id: number;
  readonly channel: string;
  readonly data: Body;
}

export interface HistoryCommand {
  readonly method: "history";
  readonly id: number;
  readonly channel: string;
  /** 0: position only; -1: all there is up to the server's limit. */
  readonly limit: number;
  readonly since?: { readonly offset: number; readonly epoch: string };
  readonly reverse: boolean;
}

export interface RpcCommand {
  readonly method: "rpc";
  readonly id: number;
  readonly rpcMethod: string;
  readonly data: string;
}

interface SendCommand {
  readonly method: "send";
  readonly id: 0;
  readonly data: string;
}

export interface RefreshCommand {
  readonly method: "refresh";
  readonly id: number;
  readonly token: string;
}

export interface SubRefreshCommand {
  readonly method: "subRefresh";
  readonly id: number;
  readonly channel: string;
  readonly token: string;
}

/** The answer to a ping. */
export interface PongCommand {
  readonly method: "pong";
  readonly id: 0;
}

/** Well formed, but not to be carried out: not served here, or with a payload that is not JSON where it must be. */
interface RefusedCommand {
  readonly method: "refused";
  readonly id: number;
  readonly error: ErrorCode;
  /** For whoever asks why. */
  readonly detail?: string;
  readonly about?: About;
}

export const PONG: PongCommand = { method: "pong", id: 0 };

/** Most commands one frame may hold; a stock client sends its connect and all its subscribes in one. */
export const MAX_COMMANDS = 1024;
