import type { ChannelName } from "../../src/core/channel.ts";
import { CommandError } from "../../src/core/errors.ts";
import type { Position } from "../../src/core/position.ts";
import type { Publication } from "../../src/core/publication.ts";
import type { Listener, SimChannel, SimInstance } from "./instance.ts";
import type { Judge, Judged, Segment } from "./judge.ts";
import type { SimServers } from "./server.ts";

const RETRY_MS = 300;

export interface SimClientOptions {
  readonly name: string;
  readonly channel: ChannelName;
  /** It is told of a gap where it is, and goes on, as Pusher's clients do; else it is sent away, and comes back. */
  readonly stays: boolean;
}

/** A client of one channel, as stock SDKs are: it keeps the position it was given last, and comes back with it. */
export class SimClient implements Listener, Judged {
  readonly name: string;
  readonly channel: ChannelName;
  readonly #stays: boolean;
  segment: Segment | undefined;
  position: Position | undefined;
  readonly had = new Set<string>();
  readonly #servers: SimServers;
  readonly #judge: Judge;
  #at: { readonly instance: SimInstance; readonly channel: SimChannel } | undefined;
  /** Raised whenever it goes, so that what was under way is forgotten. */
  #visit = 0;
  #coming = false;

  constructor({ name, channel, stays }: SimClientOptions, servers: SimServers, judge: Judge) {
    this.name = name;
    this.channel = channel;
    this.#stays = stays;
    this.#servers = servers;
    this.#judge = judge;
  }

  get subscribed(): boolean {
    return this.#at !== undefined;
  }

  get coming(): boolean {
    return this.#coming;
  }

  /** Subscribes at an instance, with its position if it has one; tries until it is in, or goes. */
  async come(instance: SimInstance): Promise<void> {
    const visit = ++this.#visit;
    this.#coming = true;
    while (visit === this.#visit) {
      if (instance.broker) {
        try {
          if (await this.#subscribe(instance, visit)) break;
        } catch (error) {
          if (!(error instanceof CommandError)) throw error;
        }
      }
      await this.#servers.clock.sleep(RETRY_MS);
    }
    if (visit === this.#visit) this.#coming = false;
  }

  /** Loses its connection. */
  go(): void {
    this.#visit++;
    this.#coming = false;
    this.#at?.channel.listeners.delete(this);
    this.#at = undefined;
  }

  received({ offset, data }: Publication): void {
    const { epoch } = this.position!;
    this.position = { epoch, offset };
    const seq = this.#judge.sequenceOf(offset);
    const newest = this.segment!.bodies.at(-1)?.seq ?? this.segment!.start;
    const body = String(data);
    this.#judge.note(`${this.name} got ${body} at ${seq}`);
    if (seq <= newest) this.#judge.accuse("order", `${this.name} got ${body} at ${seq} after ${newest}`);
    this.segment!.bodies.push({ seq, body });
    // Who is cut off gives what it remembers, and tells when it is back.
    const cutOff = this.#at?.instance.connection?.up !== true;
    this.#judge.given(this, { seq, body }, cutOff);
  }

  /** Continuity is broken: it is told where it is, or sent away and comes back by itself. */
  lost(): void {
    if (!this.#at) return;
    const { instance, channel } = this.#at;
    if (this.#stays) this.#tell(channel, instance.name, this.position!);
    else this.cutOff();
  }

  /** Unsubscribed with 2500, or disconnected: it comes back by itself. */
  cutOff(): void {
    if (!this.#at) return;
    const { instance } = this.#at;
    this.#judge.note(`${this.name} is sent away by ${instance.name}`);
    this.go();
    this.#servers.clock.after(this.#servers.random.int(5, 300), () => {
      if (!this.#at && !this.#coming) void this.come(instance);
    });
  }

  async #subscribe(instance: SimInstance, visit: number): Promise<boolean> {
    const channel = instance.channel(this.channel);
    const from = this.position;
    channel.pins++;
    try {
      await channel.prepare(from);
    } finally {
      channel.pins--;
    }
    if (visit !== this.#visit) return true;
    if (!channel.live || instance.channel(this.channel) !== channel) return false;
    const recovery = from && channel.recover(from);
    this.#at = { instance, channel };
    channel.listeners.add(this);
    if (from && recovery?.outcome === "recovered") {
      this.#judge.note(
        `${this.name} is back at ${instance.name} with ${recovery.entries.length}, ${seen(from)} -> ${seen(channel.position)}`,
      );
      // As the SDK does: the answer's position, then that of each publication in it.
      this.position = { epoch: channel.position.epoch, offset: recovery.from };
      for (const { publication } of recovery.entries) this.received(publication);
      return true;
    }
    this.#tell(channel, instance.name, from);
    return true;
  }

  /** It goes on from where the channel is. @param from where it was; undefined: nowhere */
  #tell({ position }: SimChannel, instance: string, from: Position | undefined): void {
    const start = this.#judge.startOf(position.offset);
    if (from) this.#judge.told(this, from, start, instance);
    else this.#judge.note(`${this.name} begins at ${instance} after ${start}`);
    this.segment = { start, startedAt: this.#servers.clock.now, bodies: [] };
    this.position = position;
  }
}

/** A position for people. */
function seen({ epoch, offset }: Position): string {
  return `${epoch}/${Math.floor(offset / 65_536)}`;
}
