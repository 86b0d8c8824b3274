import type { WebhookFilter } from "../webhooks/target.ts";

/** One key of an application with its secret; several, so that they can be rotated. */
interface PusherKey {
  readonly key: string;
  readonly secret: string;
}

/** Where an application's events are sent, and which of them; `channelPrefix` is of the channels' names within it. */
export interface PusherWebhook extends WebhookFilter {
  readonly url: string;
  /** Several events in one request. */
  readonly batch: boolean;
  /** Sent along with every request. */
  readonly headers: Readonly<Record<string, string>>;
}

/** An application of the Pusher protocol: its credentials, and the namespace its channels live in. */
export interface PusherApp {
  readonly id: string;
  readonly keys: readonly PusherKey[];
  /** Every channel `x` of the application is the channel `<namespace>:x`. */
  readonly namespace: string;
  /** Clients of an application that is not are refused with 4003. */
  readonly enabled: boolean;
  readonly clientEvents: boolean;
  /** Tell subscribers how many there are, in channels that are no presence channels. */
  readonly subscriptionCount: boolean;
  readonly limits: PusherLimits;
  readonly webhooks: readonly PusherWebhook[];
}

interface PusherLimits {
  /** Users in one presence channel. */
  readonly presenceMembers: number;
  /** Longest `channel_data` or `user_data` of one user. */
  readonly userInfoBytes: number;
  /** Longest `data` of one event. */
  readonly eventBytes: number;
  /** Longest channel name, characters. */
  readonly channelName: number;
  /** Messages a second through one instance, of all clients and servers; 0: no limit. */
  readonly messagesPerSecond: number;
  /** Client events of one connection. */
  readonly clientEventsPerSecond: number;
  /** Connections to one instance; 0: no limit. */
  readonly connections: number;
  /** Channels of one connection. */
  readonly channels: number;
  /** Who has neither signed in nor joined a channel that takes a signature by then is closed, ms; 0: nobody is. */
  readonly authorizationTimeoutMs: number;
}

/** The applications of an instance, by all that names one. */
export class PusherApps {
  #all: readonly PusherApp[] = [];
  readonly #ids = new Map<string, PusherApp>();
  readonly #keys = new Map<string, { readonly app: PusherApp; readonly secret: string }>();
  readonly #namespaces = new Map<string, PusherApp>();

  constructor(apps: readonly PusherApp[]) {
    this.reload(apps);
  }

  get all(): readonly PusherApp[] {
    return this.#all;
  }

  /**
   * From now on these are the applications. One that was there before stays the same object, so that its connections meet
   * what has changed; those of one that is not there any more stay, and can prove nothing.
   */
  reload(apps: readonly PusherApp[]): void {
    const before = new Map(this.#ids);
    this.#ids.clear();
    this.#keys.clear();
    this.#namespaces.clear();
    this.#all = apps.map((next) => Object.assign(before.get(next.id) ?? next, next));
    for (const app of this.#all) {
      this.#ids.set(app.id, app);
      this.#namespaces.set(app.namespace, app);
      for (const { key, secret } of app.keys) this.#keys.set(key, { app, secret });
    }
  }

  byId(id: string): PusherApp | undefined {
    return this.#ids.get(id);
  }

  byKey(key: string): PusherApp | undefined {
    return this.#keys.get(key)?.app;
  }

  /** The application whose channels live in a namespace. */
  byNamespace(namespace: string): PusherApp | undefined {
    return this.#namespaces.get(namespace);
  }

  /** The secret of a key, when the key is this application's. */
  secretOf(app: PusherApp, key: string): string | undefined {
    const found = this.#keys.get(key);
    return found?.app === app ? found.secret : undefined;
  }
}

/** The channel of an application's channel `name`, as Centrifuge clients, the server API and NATS know it. */
export function pusherChannel(app: PusherApp, name: string): string {
  return app.namespace === "default" ? name : `${app.namespace}:${name}`;
}

/** The inverse of {@link pusherChannel}; `undefined` for a channel of another namespace. */
export function pusherName(app: PusherApp, channel: string): string | undefined {
  if (app.namespace === "default") return channel.includes(":") ? undefined : channel;
  const prefix = `${app.namespace}:`;
  return channel.startsWith(prefix) ? channel.slice(prefix.length) : undefined;
}

/**
 * A user that has signed in, as presence, events and control operations know it. Every application has users of its
 * own: user 42 of one is neither that of another nor the user 42 of connection tokens.
 */
export function pusherUser(app: PusherApp, id: string): string {
  return `${app.id}#${id}`;
}

/** The inverse of {@link pusherUser}; `undefined` for who is no user of the application. */
export function pusherUserId(app: PusherApp, user: string): string | undefined {
  const prefix = `${app.id}#`;
  return user.startsWith(prefix) ? user.slice(prefix.length) : undefined;
}

/** Longest id of a user, characters. */
const MAX_USER_ID_LENGTH = 128;

const USER_CHANNEL = "#server-to-user-";

/** The channel in which the server talks to one user, wherever they are signed in. */
export function userChannelOf(userId: string): string {
  return USER_CHANNEL + userId;
}

/** The user whose channel this is; `undefined` when it is not a user's channel. */
export function userOfChannel(name: string): string | undefined {
  return name.startsWith(USER_CHANNEL) ? name.slice(USER_CHANNEL.length) : undefined;
}

/** Longest time the last event of a cache channel is given to those who come later, ms. */
export const CACHE_MS = 30 * 60_000;

/** What a channel's name says of it. */
export interface PusherChannelKind {
  readonly access: "public" | "private" | "presence" | "encrypted" | "user";
  /** The last event is kept for those who come later. */
  readonly cache: boolean;
}

const KINDS: readonly (readonly [prefix: string, kind: PusherChannelKind])[] = [
  ["private-encrypted-cache-", { access: "encrypted", cache: true }],
  ["private-encrypted-", { access: "encrypted", cache: false }],
  ["private-cache-", { access: "private", cache: true }],
  ["private-", { access: "private", cache: false }],
  ["presence-cache-", { access: "presence", cache: true }],
  ["presence-", { access: "presence", cache: false }],
  ["cache-", { access: "public", cache: true }],
];
const USER_KIND: PusherChannelKind = { access: "user", cache: false };
const PUBLIC_KIND: PusherChannelKind = { access: "public", cache: false };

/** The kind of a channel, by the prefix of its name within the application. */
export function channelKind(name: string): PusherChannelKind {
  if (userOfChannel(name) !== undefined) return USER_KIND;
  for (const [prefix, kind] of KINDS) if (name.startsWith(prefix)) return kind;
  return PUBLIC_KIND;
}

const NAME = /^[A-Za-z0-9_\-=@,.;]+$/;

/** Whether a name is one of the application's channels: of the protocol's characters and not too long, or a user's. */
export function isChannelName(app: PusherApp, name: string): boolean {
  const user = userOfChannel(name);
  if (user !== undefined) return isUserId(user);
  return name.length <= app.limits.channelName && NAME.test(name);
}

/** Whether a user may have this id: what it names is part of channel names. */
export function isUserId(id: string): boolean {
  return id !== "" && id.length <= MAX_USER_ID_LENGTH && id.isWellFormed() && !/\p{Cc}/u.test(id);
}

/** Shape of a socket id. */
export const SOCKET_ID = /^\d+\.\d+$/;
