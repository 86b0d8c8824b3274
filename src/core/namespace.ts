/**
 * Who may do something in a channel:
 * - `nobody`: refused to every client;
 * - `token`: only with a subscription token or a capability that names the channel;
 * - `subscriber`: whoever is subscribed to the channel (not for `subscribe` itself);
 * - `authenticated`: every user with an identity;
 * - `anyone`: anonymous clients too.
 *
 * A capability or a subscription token always suffices, whatever stands here (but for `nobody`).
 */
export type Access = "nobody" | "token" | "subscriber" | "authenticated" | "anyone";

/** Which service a callout asks: `true`, whoever serves its subject in NATS; a name, the HTTP endpoint that is called so. */
export type CalloutTarget = true | string;

/** What a stream keeps for the channels of a namespace. */
export interface HistoryRules {
  /** Messages kept per channel. */
  readonly size: number;
  /** Age after which messages are dropped, ms. Always set. */
  readonly ageMs: number;
  /** Most messages one recovery may return; a client further behind is told `recovered: false`. */
  readonly recoverLimit: number;
  /** Most bytes of all channels together; the oldest messages go when they take more. 0 or absent: the driver's own. */
  readonly totalBytes?: number;
  /** Copies of the stream within its home region (1, 3 or 5). */
  readonly replicas: number;
}

/** The rules of one namespace; every channel belongs to exactly one. */
export interface NamespaceRules {
  readonly name: string;
  /** `null`: nothing is kept, messages are delivered at most once. */
  readonly history: HistoryRules | null;
  /** Region its streams live in; other regions keep copies of them. Unset: wherever they are made, and no copies. */
  readonly home?: string | undefined;
  /** Streams the channels are divided among, by a hash of their names. 1 without history. */
  readonly partitions: number;
  /** `stream`: all missed messages; `cache`: the latest one; `off`: positions are not given to clients. */
  readonly recovery: "stream" | "cache" | "off";
  readonly presence: boolean;
  /**
   * Join and leave pushes, to subscribers that ask for them; needs `presence`. `connection`: for each connection, at
   * once (what stock Centrifuge clients expect); `user`: for a user's first connection and, after the grace period,
   * the last one.
   */
  readonly joinLeave: "off" | "connection" | "user";
  /** Push join/leave to every subscriber, asked for or not. */
  readonly forceJoinLeave: boolean;
  readonly subscribe: Exclude<Access, "subscriber">;
  readonly publish: Access;
  readonly presenceAccess: Access;
  readonly historyAccess: Access;
  /** Ask a service whether it is allowed. */
  readonly subscribeCallout: false | CalloutTarget;
  readonly publishCallout: false | CalloutTarget;
  /** Ask a service to prolong subscriptions that expire; otherwise the client brings a new token. */
  readonly subRefreshCallout: false | CalloutTarget;
  /** What bodies may be: JSON text only, or any bytes. */
  readonly format: "json" | "binary";
  /** Subscribers that ask for it get the difference from the message before. */
  readonly delta: boolean;
  /** Whether messages are compressed for clients, where the instance compresses. */
  readonly compress: boolean;
  /** After a message, those that follow within so long wait for its end, and go together. 0: each goes at once. */
  readonly windowMs: number;
  /** Whether windows are always kept, or only while the instance is overloaded. */
  readonly windowWhen: "always" | "overloaded";
  /** Which messages of a window go: all, the newest, or the newest of each key (the tag `key`). */
  readonly conflate: "off" | "latest" | "key";
  /** Longest body in bytes, whoever publishes. */
  readonly maxMessageBytes: number;
  /** Messages a client may publish per second (token bucket with a burst of twice that). 0: no limit. */
  readonly publishRate: number;
  /** With more members than this, presence lists are answered with counts only and join/leave is not pushed. */
  readonly presenceMaxMembers: number;
  /** Time a member may be gone before its leave is told, ms: reconnect flaps stay invisible. */
  readonly presenceGraceMs: number;
}

/** Every namespace of an instance by name. */
export type Namespaces = ReadonlyMap<string, NamespaceRules>;

/**
 * Takes over other rules, and namespaces that are new, in one step. The rules of a namespace stay the same object: whoever
 * holds it, a channel or a follower of its stream, reads the new ones with the next look.
 */
export function amendNamespaces(live: Namespaces, next: Namespaces): void {
  for (const [name, rules] of next) {
    const own = live.get(name);
    if (own) Object.assign(own, rules);
    else (live as Map<string, NamespaceRules>).set(name, rules);
  }
}

/** Every setting's default; a namespace named without rules gets these. */
export const NAMESPACE_DEFAULTS: Omit<NamespaceRules, "name"> = {
  history: null,
  partitions: 1,
  recovery: "off",
  presence: false,
  joinLeave: "off",
  forceJoinLeave: false,
  subscribe: "authenticated",
  publish: "nobody",
  presenceAccess: "subscriber",
  historyAccess: "subscriber",
  subscribeCallout: false,
  publishCallout: false,
  subRefreshCallout: false,
  format: "json",
  delta: false,
  compress: true,
  windowMs: 0,
  windowWhen: "always",
  conflate: "off",
  maxMessageBytes: 65_536,
  publishRate: 0,
  presenceMaxMembers: 5_000,
  // Stock clients come back after 0.5 to 1 s, and after up to 1.5 s more when the first attempt is refused.
  presenceGraceMs: 3_000,
};
