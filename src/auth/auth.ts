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
 * Services' decisions, asked over NATS. Each throws CommandError or ConnectionError with what the service decided, and
 * a temporary CommandError when it did not answer: nobody gets in by a failure.
 */
export interface Callouts {
  connect(question: ConnectQuestion): Promise<Identity & { readonly data?: string }>;
  subscribe(question: SubscribeQuestion): Promise<SubscriptionGrant & { readonly data?: string }>;
  /** `data` is absent when what the client sent stands. */
  publish(question: PublishQuestion): Promise<{ readonly data?: string }>;
}

/** What a service is told of a client that connects without a token of ours. JSON: these names, absent when unknown. */
export interface ConnectQuestion {
  readonly client: string;
  /** Codec of the connection, such as `centrifuge-json`. */
  readonly protocol: string;
  readonly ip: string;
  readonly origin?: string;
  readonly token?: string;
  /** JSON text. */
  readonly data?: string;
  /** Headers the client wrote into its connect command. They prove nothing. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface SubscribeQuestion {
  readonly client: string;
  readonly user: string;
  readonly channel: string;
  readonly token?: string;
  /** JSON text. */
  readonly data?: string;
  /** JSON text. */
  readonly meta?: string;
}

export interface PublishQuestion {
  readonly client: string;
  readonly user: string;
  readonly channel: string;
  /** JSON text; absent when the message is bytes. */
  readonly data?: string;
  /** Bytes in base64. */
  readonly b64data?: string;
  /** JSON text. */
  readonly meta?: string;
}
