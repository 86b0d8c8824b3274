import type { MemberEvent } from "../broker/broker.ts";
import type { ClientInfo } from "../core/publication.ts";
import { Audience, type Fanout } from "../gateway/channel/audience.ts";
import type { Channel } from "../gateway/channel/channel.ts";
import type { MemberListener } from "../gateway/channel/member-listener.ts";
import type { Subscriber } from "../gateway/channel/subscriber.ts";
import type { Presence } from "../presence/presence.ts";
import { pusher, watchlistEvents } from "../protocol/pusher/pusher.ts";

/** What all user lists of an instance share. */
export interface ChannelUsersContext {
  readonly presence: Presence;
  readonly fanout: Fanout;
  /** An event has come, or may have been missed: the list is to be compared with presence soon. */
  doubtful(list: ChannelUsers): void;
  /** The list's channel was given up. */
  closed(list: ChannelUsers): void;
}

/** Most connections read of one channel: its limit is in users, and each may have several. */
const MAX_CONNECTIONS = 10_000;

/**
 * Who is in a channel, by user, as this instance knows it: read from presence once, kept up to date by events. It is
 * to comings and goings what the ring is to messages: a list and what changes it are given in one synchronous step,
 * nobody is told twice, and however many subscribers come, one read serves them all. Notices may get lost; so the list
 * is compared with presence when it has been quiet for a while after a change, and told what differs.
 */
export class ChannelUsers implements MemberListener {
  readonly channel: Channel;
  readonly #context: ChannelUsersContext;
  readonly #users = new Map<string, string | undefined>();
  #loading: Promise<void> | undefined;
  /** Events that came while presence is read; they are applied after it. */
  #waiting: MemberEvent[] | undefined;
  /** Sessions that want to know whether somebody is here. */
  readonly #watchers: Audience;
  ready = false;
  /** When the last event came, ms of the monotonic clock. */
  lastEventAt = 0;

  constructor(channel: Channel, context: ChannelUsersContext) {
    this.channel = channel;
    this.#context = context;
    this.#watchers = new Audience(pusher, channel.id, "w");
  }

  /** By user id, with what is known of each as JSON text. */
  get users(): ReadonlyMap<string, string | undefined> {
    return this.#users;
  }

  /** Reads presence, unless that was done. */
  load(): Promise<void> {
    if (this.ready) return Promise.resolve();
    return this.refresh();
  }

  /** Compares with presence, and tells what differs. */
  refresh(): Promise<void> {
    this.#loading ??= this.#read().finally(() => {
      this.#loading = undefined;
      this.#waiting = undefined;
    });
    return this.#loading;
  }

  async #read(): Promise<void> {
    this.#waiting = [];
    const { members, partial } = await this.#context.presence.members(this.channel.id, MAX_CONNECTIONS);
    const found = new Map<string, ClientInfo>();
    for (const info of members) if (info.user !== "" && !found.has(info.user)) found.set(info.user, info);
    for (const info of found.values()) this.#add(info);
    // A partial answer does not prove that the others have left: presence is asked again.
    if (partial) this.#doubt();
    for (const user of partial ? [] : [...this.#users.keys()]) {
      // A user who has just joined here may not be in presence yet.
      if (!found.has(user) && !this.#isHere(user)) this.#remove({ user, client: "" });
    }
    this.ready = true;
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const event of waiting) this.#apply(event);
  }

  memberEvent(event: MemberEvent): void {
    this.#doubt();
    if (this.#waiting) this.#waiting.push(event);
    else this.#apply(event);
  }

  channelClosed(): void {
    this.#context.closed(this);
  }

  /** A local subscriber joins now: everybody else here is told, before presence and the other instances know. */
  arrived(info: ClientInfo): void {
    this.#doubt();
    this.#add(info);
  }

  watch(subscriber: Subscriber): void {
    this.#watchers.add(subscriber);
  }

  unwatch(subscriber: Subscriber): void {
    this.#watchers.delete(subscriber);
  }

  /** Has the list compared with presence once it is quiet. */
  #doubt(): void {
    this.lastEventAt = performance.now();
    this.#context.doubtful(this);
  }

  #apply({ kind, info }: MemberEvent): void {
    if (info.user === "") return;
    if (kind === "join") this.#add(info);
    // Their last connection elsewhere may be gone before presence knows of the one here: they have not left.
    else if (!this.#isHere(info.user)) this.#remove(info);
  }

  #add(info: ClientInfo): void {
    if (this.#users.has(info.user)) return;
    this.#users.set(info.user, info.chanInfo ?? info.connInfo);
    this.#tell("join", info);
  }

  #remove(info: ClientInfo): void {
    if (this.#users.delete(info.user)) this.#tell("leave", info);
  }

  #tell(kind: "join" | "leave", info: ClientInfo): void {
    if (!this.ready) return;
    this.channel.userChanged(kind, info);
    if (this.#watchers.size === 0) return;
    const frame = kind === "join" ? watchlistEvents([info.user], []) : watchlistEvents([], [info.user]);
    this.#watchers.publish(this.#context.fanout, frame);
  }

  #isHere(user: string): boolean {
    for (const subscriber of this.channel.members()) {
      if (subscriber.userIn(this.channel.id) === user) return true;
    }
    return false;
  }
}

/** A list is compared with presence after this long without an event, ms. */
const QUIET_MS = 5_000;

/** The user lists of an instance, as far as they may be wrong. */
export class ChannelUsersRegistry {
  readonly #context: ChannelUsersContext;
  readonly #lists = new Map<Channel, ChannelUsers>();
  readonly #doubtful = new Set<ChannelUsers>();
  readonly #failed: (error: unknown) => void;

  constructor(deps: { presence: Presence; fanout: Fanout; failed: (error: unknown) => void }) {
    this.#failed = deps.failed;
    this.#context = {
      ...deps,
      doubtful: (list) => this.#doubtful.add(list),
      closed: (list) => {
        this.#lists.delete(list.channel);
        this.#doubtful.delete(list);
      },
    };
  }

  /** The list of a channel, made when nobody has asked for it yet. */
  of(channel: Channel): ChannelUsers {
    let list = this.#lists.get(channel);
    if (!list) {
      list = new ChannelUsers(channel, this.#context);
      this.#lists.set(channel, list);
      channel.followMembers(list);
    }
    return list;
  }

  /** The list of a channel, where somebody has asked for it. */
  known(channel: Channel): ChannelUsers | undefined {
    return this.#lists.get(channel);
  }

  /** Notices may have been lost: every list is compared with presence. */
  doubt(): void {
    for (const list of this.#lists.values()) if (list.ready) this.#doubtful.add(list);
  }

  /** Once a second: compares the lists that had their rest. */
  tick(now = performance.now()): void {
    for (const list of this.#doubtful) {
      if (now - list.lastEventAt < QUIET_MS) continue;
      this.#doubtful.delete(list);
      if (list.channel.live) list.refresh().catch(this.#failed);
    }
  }
}
