import type { CalloutTarget } from "../core/namespace.ts";
import type { Body } from "../core/publication.ts";

/**
 * The auth port: who a client is and what it may do. Tokens are checked here and forgotten; they never reach a log,
 * an error or an event.
 */
export interface Authenticator {
  /** Loads keys where they must be fetched. Call once. */
  start(): Promise<void>;
  close(): Promise<void>;

  /**
   * Checks a connection token. @throws CommandError tokenExpired (109); CommandError internal (100, temporary) when it
   * cannot be judged because the issuer's keys cannot be had right now; ConnectionError invalidToken (3500) for every
   * flaw of its own. The detail for the log names the check that failed, never the token.
   */
  connection(token: string): Promise<Identity>;

  /**
   * Checks a subscription token for `channel` and `user`. @throws CommandError tokenExpired (109), internal (100, as
   * above), permissionDenied (103) for every other flaw; ConnectionError invalidToken (3500) when it belongs to another
   * user or channel
   */
  subscription(token: string, channel: string, user: string): Promise<SubscriptionGrant>;
}

/** Who a connection is. */
export interface Identity {
  /** "" is anonymous. */
  readonly user: string;
  /** JSON text shown to other clients as `conn_info`. */
  readonly info?: string;
  /** Unix time in seconds when the connection must have been refreshed; absent: never. */
  readonly expiresAt?: number;
  /** Server-side subscriptions the token asks for, beside the user's inbox. */
  readonly subscriptions: readonly ServerSubscription[];
  /** Made by `compileCapabilities`, asked with `allows` (capabilities.ts). */
  readonly capabilities: readonly CompiledCapability[];
  /** JSON text for services only (`meta` claim), never shown to clients. */
  readonly meta?: string;
  /** Device name, when the token or the client gives one. */
  readonly device?: string;
  /** Name and version of the client's library, as it says; for operators. */
  readonly library?: string;
  readonly tokenId?: string;
  /** Unix seconds. */
  readonly issuedAt?: number;
}

export interface ServerSubscription extends SubscriptionOverrides {
  readonly channel: string;
  /** JSON text shown to other clients as `chan_info`. */
  readonly info?: string;
  /** JSON text for this client only. */
  readonly data?: string;
}

/** What a token may change of the namespace's rules for one subscription. */
export interface SubscriptionOverrides {
  readonly presence?: boolean;
  readonly joinLeave?: boolean;
  readonly forceJoinLeave?: boolean;
  readonly recovery?: boolean;
  readonly positioning?: boolean;
}

export interface SubscriptionGrant extends SubscriptionOverrides {
  readonly info?: string;
  /** Unix seconds; absent: never. */
  readonly expiresAt?: number;
}

/** Things a capability can allow in a channel: subscribe, publish, presence, history. */
export type Permission = "sub" | "pub" | "prs" | "hst";

/** Allows something in the channels whose names match. */
export interface Capability {
  readonly channels: readonly string[];
  /** `exact`: the names themselves; `wildcard`: `*` stands for any characters; `regex`: anchored, linear time. */
  readonly match: "exact" | "wildcard" | "regex";
  readonly allow: readonly Permission[];
}

/** A capability ready for use: patterns are compiled once, when the token is read. */
export interface CompiledCapability extends Capability {
  readonly matches: (channel: string) => boolean;
}

/**
 * Decisions of one service, which is asked over NATS or HTTP. Each throws CommandError or ConnectionError with what the
 * service decided, and a temporary CommandError when it did not answer: nobody gets in by a failure.
 */
export interface Callouts {
  connect(question: ConnectQuestion): Promise<Identity & { readonly data?: string }>;
  /** Whether a connection that expires goes on; a service that does not answer has decided nothing. */
  refresh(question: Asker): Promise<Renewal & { readonly meta?: string }>;
  subscribe(question: SubscribeQuestion): Promise<SubscriptionGrant & { readonly data?: string }>;
  /** As {@link refresh}, of one subscription. */
  subRefresh(question: SubRefreshQuestion): Promise<Renewal>;
  publish(question: PublishQuestion): Promise<PublishDecision>;
  /** @returns JSON text on one line. Throws methodNotFound, too. */
  rpc(question: RpcQuestion): Promise<string>;
}

/** Finds the service that a setting names. */
export type FindCallouts = (target: CalloutTarget) => Callouts;

/** Who asks a service, and how it is connected. */
export interface Asker {
  readonly client: string;
  /** "" while nobody knows. */
  readonly user: string;
  /** Codec of the connection, such as `centrifuge-json`. */
  readonly protocol: string;
  /** `websocket`, or the stream's name, such as `uni_sse`. */
  readonly transport: string;
  readonly ip: string;
  /** JSON text for services. */
  readonly meta?: string | undefined;
  /** Headers of the request it connected by that some endpoint is to see; names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Those that stand in its connect command, which prove nothing. The same. */
  readonly emulated?: Readonly<Record<string, string>> | undefined;
}

/** What a service is told of a client that connects without a token of ours. */
export interface ConnectQuestion extends Asker {
  readonly origin?: string | undefined;
  readonly token?: string;
  /** What the client calls itself, and its version; "" when it says nothing. */
  readonly name: string;
  readonly version: string;
  /** Channels of which it says where it wants to go on. */
  readonly channels: readonly string[];
  /** JSON text. */
  readonly data?: string | undefined;
  /** All headers the client wrote into its connect command. */
  readonly commandHeaders: Readonly<Record<string, string>>;
}

export interface SubscribeQuestion extends Asker {
  readonly channel: string;
  readonly token?: string;
  /** JSON text. */
  readonly data?: string | undefined;
}

export interface SubRefreshQuestion extends Asker {
  readonly channel: string;
}

export interface PublishQuestion extends Asker {
  readonly channel: string;
  /** JSON text; absent when the message is bytes. */
  readonly data?: string;
  /** Bytes in base64. */
  readonly b64data?: string;
}

export interface RpcQuestion extends Asker {
  readonly method: string;
  /** JSON text. */
  readonly data: string;
  readonly device?: string | undefined;
  /** JSON text shown to other clients as `conn_info`. */
  readonly info?: string | undefined;
}

/** What a service says of something that expires: it is over, or goes on until then (Unix seconds; absent: for ever). */
export type Renewal =
  | { readonly expired: true }
  | {
      readonly expired: false;
      readonly expiresAt?: number | undefined;
      /** JSON text that stands from now on instead of the one before. */
      readonly info?: string | undefined;
    };

/** A publish that may go ahead. */
export interface PublishDecision {
  /** Absent: what the client sent stands. */
  readonly data?: Body | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** Idempotency key. */
  readonly id?: string | undefined;
}
