import type { MemberEvent } from "../broker/broker.ts";
import type { ClientInfo } from "../core/publication.ts";
import { Audience, type Fanout } from "../gateway/channel/audience.ts";
import type { Channel } from "../gateway/channel/channel.ts";
import type { Session } from "../gateway/session/session.ts";
import type { Presence } from "../presence/presence.ts";
import { pusher, watchlistEvents } from "../protocol/pusher/pusher.ts";

/** What all user lists of an instance share. */
export interface ChannelUsersContext {
  readonly presence: Presence;
  readonly fanout: Fanout;
  /** Something was heard, or may have been missed: the list is to be compared with presence soon. */
  doubtful(list: ChannelUsers): void;
}

/** Most connections read of one channel: its limit is in users, and each may have several. */
const MAX_CONNECTIONS = 10_000;

/**
 * Who is in a channel, by user, as this instance knows it: read from presence once, kept up to date by notices. It is
 * to comings and goings what the ring is to messages: a list and what changes it are given in one synchronous step,
 * nobody is told twice, and however many subscribers come, one read serves them all. Notices may get lost; so the list
 * is compared with presence when it has been quiet for a while after a change, and told what differs.
 */
export class ChannelUsers {
  readonly channel: Channel;
  readonly #context: ChannelUsersContext;
  readonly #users = new Map<string, string | undefined>();
  #loading: Promise<void> | undefined;
  /** Notices heard while presence is read. */
  #heard: MemberEvent[] | undefined;
  /** Sessions that want to know whether somebody is here. */
  readonly #watchers: Audience;
  ready = false;
  /** When something was last heard, ms of the monotonic clock. */
  heardAt = 0;

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
      this.#heard = undefined;
    });
    return this.#loading;
  }

  async #read(): Promise<void> {
    this.#heard = [];
    const { members } = await this.#context.presence.members(this.channel.id, MAX_CONNECTIONS);
    const found = new Map<string, ClientInfo>();
    for (const info of members) if (info.user !== "" && !found.has(info.user)) found.set(info.user, info);
    for (const info of found.values()) this.#add(info);
    for (const user of [...this.#users.keys()]) {
      // Presence may not know yet who has just come here.
      if (!found.has(user) && !this.#isHere(user)) this.#remove({ user, client: "" });
    }
    this.ready = true;
    const heard = this.#heard ?? [];
    this.#heard = undefined;
    for (const notice of heard) this.#apply(notice);
  }

  heard(notice: MemberEvent): void {
    this.heardAt = performance.now();
    this.#context.doubtful(this);
    if (this.#heard) this.#heard.push(notice);
    else this.#apply(notice);
  }

  /** A local subscriber joins now: everybody else here is told, before presence and the other instances know. */
  arrived(info: ClientInfo): void {
    this.heardAt = performance.now();
    this.#context.doubtful(this);
    this.#add(info);
  }

  watch(session: Session): void {
    this.#watchers.add(session);
  }

  unwatch(session: Session): void {
    this.#watchers.delete(session);
  }

  #apply({ kind, info }: MemberEvent): void {
    if (info.user === "") return;
    if (kind === "join") this.#add(info);
    else this.#remove(info);
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
    for (const session of this.channel.members()) {
      if (session.subs.get(this.channel.id)?.user === user) return true;
    }
    return false;
  }
}

/** A list is compared with presence when nothing was heard of its channel for so long, ms. */
const QUIET_MS = 5_000;

/** The user lists of an instance, as far as they may be wrong. */
export class ChannelUsersRegistry {
  readonly #context: ChannelUsersContext;
  readonly #doubtful = new Set<ChannelUsers>();
  readonly #failed: (error: unknown) => void;

  constructor(deps: { presence: Presence; fanout: Fanout; failed: (error: unknown) => void }) {
    this.#failed = deps.failed;
    this.#context = { ...deps, doubtful: (list) => this.#doubtful.add(list) };
  }

  /** The list of a channel, made when nobody has asked for it yet. */
  of(channel: Channel): ChannelUsers {
    channel.users ??= new ChannelUsers(channel, this.#context);
    return channel.users;
  }

  /** Notices may have been lost: every list is compared with presence. */
  doubt(channels: Iterable<Channel>): void {
    for (const { users } of channels) if (users?.ready) this.#doubtful.add(users);
  }

  /** Once a second: compares the lists that had their rest. */
  tick(now = performance.now()): void {
    for (const list of this.#doubtful) {
      if (now - list.heardAt < QUIET_MS) continue;
      this.#doubtful.delete(list);
      if (list.channel.live) list.refresh().catch(this.#failed);
    }
  }
}
