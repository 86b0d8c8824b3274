import type { Logger } from "../core/log.ts";
import type { Position } from "../core/position.ts";
import type { Priority } from "../core/publication.ts";
import type { AppSockets } from "../runtime/bun/app-sockets.ts";

/** What a callout is told of who asks; `data`, `info` and `meta` are JSON values. */
export interface Question {
  readonly client: string;
  /** "" before a connection is let in. */
  readonly user?: string;
  readonly channel?: string;
  readonly token?: string;
  readonly data?: unknown;
  /** Bytes of a publish, in namespaces of `format: binary`. */
  readonly b64data?: string;
  readonly meta?: unknown;
  readonly ip?: string;
  readonly origin?: string;
  readonly protocol?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Refuses with an error that the client sees (400 to 1999), or ends its connection (3000 to 4999). */
export type RefusalAnswer =
  | { readonly error: { readonly code: number; readonly message: string; readonly temporary?: boolean } }
  | { readonly disconnect: { readonly code: number; readonly reason: string } };

/** Who a client is. Members are those of services over NATS, docs/callouts.md. */
export interface ConnectAnswer {
  readonly user: string;
  readonly info?: unknown;
  /** Unix seconds; 0 or absent: never. */
  readonly expireAt?: number;
  /** Channels that the client is subscribed to from the start. */
  readonly channels?: readonly string[];
  readonly meta?: unknown;
  readonly device?: string;
  readonly data?: unknown;
}

type RenewalAnswer = { readonly expired: true } | { readonly expireAt?: number; readonly info?: unknown };
type Answering<Q, A> = (question: Q) => A | RefusalAnswer | Promise<A | RefusalAnswer>;

/** An RPC: what a client calls, and who it is. */
export interface RpcCall {
  readonly method: string;
  readonly data: unknown;
  readonly client: string;
  readonly user: string;
  readonly ip?: string;
  readonly info?: unknown;
  readonly meta?: unknown;
}

/** Functions of the app's own that are asked in place of services over NATS or HTTP. What they throw refuses nobody in. */
export interface Services {
  /** Decides who a client without a token is. */
  readonly connect?: Answering<Question, ConnectAnswer>;
  readonly refresh?: Answering<Question, RenewalAnswer>;
  /** Decides about subscribes in namespaces with `subscribeCallout: true`. */
  readonly subscribe?: Answering<
    Question,
    { readonly info?: unknown; readonly data?: unknown; readonly expireAt?: number }
  >;
  readonly subRefresh?: Answering<Question, RenewalAnswer>;
  /** Looks at publishes of clients in namespaces with `publishCallout: true`; `data` replaces what was published. */
  readonly publish?: Answering<Question, { readonly data?: unknown }>;
  /** By method; `*` is asked for all others. Throw {@link RpcError} to refuse. */
  readonly rpc?: Readonly<Record<string, (call: RpcCall) => unknown>>;
}

/** What a connection token says; more claims are in docs/auth.md. */
export interface TokenClaims {
  /** "" is an anonymous user. */
  readonly user: string;
  /** How long it is good for; default one hour. */
  readonly seconds?: number;
  /** What others in a channel see of the user. */
  readonly info?: unknown;
  /** Further claims, such as `channels` or `caps`. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

export interface PublishOptions {
  readonly tags?: Readonly<Record<string, string>>;
  readonly priority?: Priority;
  /** Publishes to one channel under one key within two minutes are stored once. */
  readonly idempotencyKey?: string;
}

/** Somebody in a channel; infos are JSON values. */
export interface Member {
  readonly client: string;
  readonly user: string;
  readonly connInfo?: unknown;
  readonly chanInfo?: unknown;
}

/** A stored message. */
export interface Message {
  readonly offset: number;
  /** A JSON value, or bytes in namespaces of `format: binary`. */
  readonly data: unknown;
  readonly tags?: Readonly<Record<string, string>>;
  readonly info?: Member;
}

/** What an app asks of its gateway. All reach every instance. @throws CommandError with a code of docs/protocol.md */
export interface AppOperations {
  /** @param data a JSON value, or bytes for namespaces of `format: binary` */
  publish(channel: string, data: unknown, options?: PublishOptions): Promise<Position>;
  /** `partial`: not everybody may be in it. */
  presence(channel: string): Promise<{ members: readonly Member[]; partial: boolean }>;
  /** Newest first with `reverse`. @param limit at most so many, 100 if nothing is said */
  history(
    channel: string,
    query?: { since?: Position; limit?: number; reverse?: boolean },
  ): Promise<{ messages: readonly Message[]; position: Position }>;
  subscribe(user: string, channel: string): Promise<void>;
  unsubscribe(user: string, channel: string): Promise<void>;
  /** Ends all connections of a user; by the code (4000 to 4499: come back, 4500 to 4999: stay away). */
  disconnect(user: string, close?: { code: number; reason: string }): Promise<void>;
}

/** What an app decides of its gateway. */
export interface TrunklineOptions extends Services {
  /** Settings as in the configuration file, docs/config.md. The environment is not read. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** `dev`: everything embedded, all rights for everybody. Default `serve`: secure, and refuses to start otherwise. */
  readonly profile?: "serve" | "dev";
  /** Takes the log in place of stdout. */
  readonly log?: Logger;
}

/** A gateway within an app: on Bun or Deno, beside the app's own routes, as many of them as one likes. */
export interface Trunkline extends AppOperations, AsyncDisposable {
  /**
   * Answers what belongs to the gateway, all under `/connection`, `/emulation`, `/app`, `/apps`, `/api` and `/metrics`; 404
   * for the rest. @param server Bun's server, or what Deno.serve hands over with a request
   */
  fetch(request: Request, server: unknown): Promise<Response>;
  /** For `Bun.serve({ websocket })`. */
  readonly websocket: AppSockets;
  /** A connection token for a user, signed with `auth.tokenSecret`. @throws UserError when there is none */
  token(claims: TokenClaims): Promise<string>;
  /**
   * Takes other settings over without a restart, all or none: those in effect are these from then on, not these beside
   * those before. Functions stay. Resolves with the names of what has changed.
   * @throws UserError that says what is wrong with them, or what only a gateway that starts takes (docs/reload.md)
   */
  reload(settings: Readonly<Record<string, unknown>>): Promise<readonly string[]>;
  /** Lets clients go in paced waves, and closes everything. Idempotent. */
  close(): Promise<void>;
}
