import { CommandError, Errors } from "../../core/errors.ts";
import type { Operations } from "../../gateway/gateway.ts";
import { bodyOf, dataOf } from "../../protocol/pusher/data.ts";
import type { AppQuotas } from "../../pusher/app-quotas.ts";
import {
  CACHE_MS,
  channelKind,
  isChannelName,
  isUserId,
  type PusherApp,
  pusherChannel,
  pusherName,
  pusherUser,
  pusherUserId,
} from "../../pusher/apps.ts";
import type { Attribute } from "./attributes.ts";
import type { PusherEvent } from "./events.ts";

/** Channels asked about at once. */
const WINDOW = 64;

/** What is known of one channel. */
export interface ChannelFacts {
  user_count?: number;
  subscription_count?: number;
  /** `null`: the channel holds nothing. */
  cache?: { readonly data: string; readonly ttl: number } | null;
}

/** What the HTTP API asks of one app's channels, in the operations of the gateway. Channels by their names in the app. */
export class PusherCalls {
  readonly #operations: Operations;
  readonly #quotas: AppQuotas;

  constructor(operations: Operations, quotas: AppQuotas) {
    this.#operations = operations;
    this.#quotas = quotas;
  }

  /** Whether an app may publish these now: one message for each channel of an event. */
  mayPublish(app: PusherApp, events: readonly PusherEvent[]): boolean {
    return this.#quotas.messages(app, events.flatMap(({ channels }) => channels).length);
  }

  /** Publishes one event to its channels, in order. @throws CommandError of the first channel that failed */
  async publish(app: PusherApp, event: PusherEvent, id: string | undefined): Promise<void> {
    const channels = event.channels.map((name) => pusherChannel(app, name));
    const results = await this.#operations.broadcast(channels, bodyOf(event.data), {
      event: event.name,
      ...(event.socketId !== undefined && { except: event.socketId }),
      ...(id !== undefined && { id }),
    });
    for (const result of results) if ("error" in result) throw new CommandError(result.error);
  }

  /** Attributes of channels, as far as they have them. */
  async factsOf(
    app: PusherApp,
    names: readonly string[],
    wanted: readonly Attribute[],
  ): Promise<Record<string, ChannelFacts>> {
    const facts: [string, ChannelFacts][] = [];
    for (let at = 0; at < names.length; at += WINDOW) {
      const some = names.slice(at, at + WINDOW);
      const found = await Promise.all(some.map((name) => this.#facts(app, name, wanted)));
      facts.push(...some.map((name, index): [string, ChannelFacts] => [name, found[index]!]));
    }
    return Object.fromEntries(facts);
  }

  async occupied(app: PusherApp, name: string): Promise<boolean> {
    return (await this.#counts(app, name)).clients > 0;
  }

  /** Channels with subscribers anywhere, with the number of them; `partial`: some may be missing. */
  async channels(
    app: PusherApp,
    prefix: string,
  ): Promise<{ channels: ReadonlyMap<string, number>; partial: boolean }> {
    const found = new Map<string, number>();
    const { channels, partial } = await this.#operations.channels(`${pusherChannel(app, prefix)}*`);
    for (const [id, count] of channels) {
      const name = pusherName(app, id);
      if (name === undefined || !isChannelName(app, name) || channelKind(name).access === "user") continue;
      found.set(name, count);
    }
    return { channels: found, partial };
  }

  /** Ids of the users in a presence channel, each once. @throws CommandError notAvailable: too many */
  async users(app: PusherApp, name: string): Promise<readonly string[]> {
    const { members } = await this.#operations.presence(pusherChannel(app, name));
    return [...new Set(members.map(({ user }) => pusherUserId(app, user) ?? user))];
  }

  /** Ends every connection a user is signed in on. @throws CommandError badRequest */
  async terminate(app: PusherApp, userId: string): Promise<void> {
    if (!isUserId(userId)) throw new CommandError(Errors.badRequest, "malformed user id");
    await this.#operations.disconnect({ user: pusherUser(app, userId) });
  }

  async #facts(app: PusherApp, name: string, wanted: readonly Attribute[]): Promise<ChannelFacts> {
    const kind = channelKind(name);
    const facts: ChannelFacts = {};
    const users = wanted.includes("user_count") && kind.access === "presence";
    if (users || wanted.includes("subscription_count")) {
      const counts = await this.#counts(app, name);
      if (users) facts.user_count = counts.users;
      if (wanted.includes("subscription_count")) facts.subscription_count = counts.clients;
    }
    if (wanted.includes("cache") && kind.cache) facts.cache = await this.#cached(app, name);
    return facts;
  }

  /** From presence, which counts at once; without it every instance is asked. */
  async #counts(app: PusherApp, name: string): Promise<{ clients: number; users: number }> {
    const channel = pusherChannel(app, name);
    try {
      return await this.#operations.presenceStats(channel);
    } catch (error) {
      if (!(error instanceof CommandError) || error.error !== Errors.notAvailable) throw error;
      return { clients: (await this.#operations.channels(channel)).channels.get(channel) ?? 0, users: 0 };
    }
  }

  async #cached(app: PusherApp, name: string): Promise<NonNullable<ChannelFacts["cache"]> | null> {
    const channel = pusherChannel(app, name);
    const latest = await this.#operations.history(channel, { limit: 1, reverse: true }).then(
      ({ publications }) => publications[0],
      (error: unknown) => {
        // A namespace without history: its cache channels hold nothing. The settings' start has said so.
        if (error instanceof CommandError && error.error === Errors.notAvailable) return undefined;
        throw error;
      },
    );
    if (!latest || typeof latest.data !== "string") return null;
    const leftMs = latest.timeMs + CACHE_MS - Date.now();
    return leftMs > 0 ? { data: dataOf(latest.data), ttl: Math.ceil(leftMs / 1000) } : null;
  }
}
