import type { DocumentVersion } from "../broker/broker.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { LogLevel } from "../core/log.ts";
import type { Position } from "../core/position.ts";
import type { Body, ClientInfo, Priority, Publication } from "../core/publication.ts";
import type { From } from "../core/tracing.ts";
import type { Frame } from "../protocol/codec.ts";
import type { SocketHandler } from "../runtime/runtime.ts";
import type { OutboxMethod } from "../webhooks/requests.ts";
import type { Dialect, ForcedSubscribe, Handshake } from "./dialect.ts";
import type { Why, WhyRequest } from "./findings.ts";
import type { LogLevelRequest } from "./instance/log-level.ts";
import type { Move, MoveRequest } from "./instance/move.ts";
import type { DrainPace } from "./instance/waves.ts";
import type { ChannelLook, UserLook } from "./look-shapes.ts";
import type { Actor, Oversight } from "./oversight.ts";
import type { RestrictionMethod } from "./restrictions/restriction.ts";
import type { Session } from "./session/session.ts";
import type { Top, TopRequest } from "./trace/busy.ts";
import type { TraceRequest } from "./trace/request.ts";
import type { TraceListener } from "./trace/traces.ts";

/** Commands of a connection whose transport leads one way only: they come in requests of their own. */
export interface EmulatedCommands {
  /** Secret name of the connection. */
  readonly session: string;
  /** The instance that holds it. */
  readonly node: string;
  /** As the client sent them. */
  readonly data: Frame;
  /** What they are a part of, as their request says. */
  readonly from?: From | undefined;
}

/**
 * `busy`: too many are on their way to other instances; `limited`: too many of them come from one address, whose own
 * fault it is.
 */
export type EmulationOutcome = "delivered" | "unknown" | "busy" | "limited";

/**
 * The gateway as the HTTP layer sees it: sockets in, and the operations of the server API. Every operation works from
 * any instance about any other.
 */
export interface Gateway {
  /** Makes the handler of one new connection that speaks a dialect. Admission was decided before. */
  accept(handshake: Handshake, dialect: Dialect<Session>): SocketHandler;
  /**
   * Hands commands to the connection they belong to, here or on another instance, in the order of the calls.
   * @param address what limits of an address count the request under
   */
  emulate(commands: EmulatedCommands, address: string): Promise<EmulationOutcome>;
  /** Whether nobody may connect from an address. */
  blocksAddress(ip: string): boolean;
  /** Live connections of this instance. */
  readonly connections: number;
  readonly operations: Operations;
  /** What operators look at. */
  readonly oversight: Oversight;
  /**
   * Closes every connection in paced, jittered waves with code 3001. Resolves when none is left and clients
   * have had their grace period to come back elsewhere, at the latest after `deadlineMs`.
   */
  drain(pace: DrainPace): Promise<void>;
  /** Closes up to `count` of the connections that were silent longest, with 3020. Used when overloaded. */
  shed(count: number): number;
  /** Closes up to `count` connections with 3021. Used when nothing can be served here, and somewhere else it can. */
  sendAway(count: number): number;
}

/** A failed part of a composite answer. */
export interface Failure {
  readonly error: ErrorCode;
}

export interface PublishRequest {
  readonly id?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly event?: string;
  readonly priority?: Priority;
  /** Connection that must not get it. */
  readonly except?: string;
  /** Not to be stored. */
  readonly skipHistory?: boolean;
  /** Which version of a document it is: not stored when the channel's newest message is as new. */
  readonly version?: DocumentVersion;
}

/** The level of each instance's log. */
export interface LogLevels {
  readonly levels: ReadonlyMap<string, LogLevel>;
  readonly partial: boolean;
}

/** Names connections: all of a user, or one of them, by its id or by the secret name of its stream. */
export interface Target {
  readonly user: string;
  readonly client?: string;
  readonly session?: string;
}

/**
 * The operations of the server API. Channel names are as clients write them. Every one throws CommandError for what a
 * caller did wrong.
 */
export interface Operations {
  publish(channel: string, body: Body, request?: PublishRequest): Promise<Position>;
  broadcast(
    channels: readonly string[],
    body: Body,
    request?: PublishRequest,
  ): Promise<readonly (Position | Failure)[]>;
  subscribe(target: Target, channel: string, options?: Omit<ForcedSubscribe, "channel">): Promise<void>;
  unsubscribe(target: Target, channel: string): Promise<void>;
  disconnect(
    target: Target,
    close?: { code: number; reason: string },
    whitelist?: readonly string[],
  ): Promise<void>;
  /**
   * Moves the expiry of a user's connections, or ends them when `expired`. `expireAt` in Unix seconds; `info` is JSON text
   * that others see from now on.
   */
  refresh(target: Target, options: { expired?: boolean; expireAt?: number; info?: string }): Promise<void>;
  presence(channel: string): Promise<{ members: readonly ClientInfo[]; partial: boolean }>;
  presenceStats(channel: string): Promise<{ clients: number; users: number; partial: boolean }>;
  history(
    channel: string,
    query: { since?: Position; limit: number; reverse?: boolean },
  ): Promise<{ publications: readonly Publication[]; position: Position }>;
  historyRemove(channel: string): Promise<void>;
  /** Channels with subscribers anywhere, with the number of them; `pattern` is a glob. `partial`: some may be missing. */
  channels(pattern?: string): Promise<{ channels: ReadonlyMap<string, number>; partial: boolean }>;
  /** Connections of a user anywhere. */
  connectionsOf(user: string): Promise<{
    connections: readonly {
      client: string;
      device: string;
      region: string;
      instance: string;
      sinceMs: number;
    }[];
    partial: boolean;
  }>;
  /**
   * Takes rights back, blocks, unblocks, or lists: shapes and result are those of the server API. @param params checked
   * @param actor for the audit; default: the server API
   */
  restrict(method: RestrictionMethod, params: unknown, actor?: Actor): Promise<object>;
  /** Looks into the outbox of webhooks, or puts back what was set aside. @param params checked @param actor as above */
  outbox(method: OutboxMethod, params: unknown, actor?: Actor): Promise<object>;
  /** Asks an instance to let connections go, at a pace; they come back elsewhere. @returns how many, and for how long */
  move(request: MoveRequest): Promise<Move>;
  /** Why a user gets nothing, or a channel says nothing: what every instance, the store and the restrictions show. */
  why(request: WhyRequest): Promise<Why>;
  /** Where a user is connected, with what, to which channels; and what was refused to it. */
  user(user: string): Promise<UserLook>;
  /** Who is subscribed to a channel, where its end is, what is kept, and under which rules. */
  channel(channel: string): Promise<ChannelLook>;
  /** Changes the level of the log of one instance or of all; without a level it tells what it is. */
  logLevel(request: LogLevelRequest): Promise<LogLevels>;
  /**
   * Looks at connections, channels or instances as they go on, on all instances. Returns its end, which is idempotent.
   * @throws CommandError limitExceeded: too many look already
   */
  trace(request: TraceRequest, listener: TraceListener): Promise<() => void>;
  /** Counts for some seconds who is busy, on all instances. @throws CommandError limitExceeded: too many are counting */
  top(request: TopRequest): Promise<Top>;
  info(): Promise<{
    instances: readonly {
      instance: string;
      region: string;
      version: string;
      connections: number;
      users: number;
      channels: number;
      uptimeMs: number;
    }[];
    partial: boolean;
  }>;
}
