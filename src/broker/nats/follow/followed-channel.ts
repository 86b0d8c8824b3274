import type { ChannelName } from "../../../core/channel.ts";
import type { Logger } from "../../../core/log.ts";
import type { NamespaceRules } from "../../../core/namespace.ts";
import type { Position } from "../../../core/position.ts";
import type { Stats } from "../../../core/stats.ts";
import { sequenceOf } from "../../../core/tag.ts";
import type { Msg } from "../../../nats/client.ts";
import type { Flaw } from "../../body.ts";
import type { Attachment, ChannelSink } from "../../broker.ts";
import { type Envelope, openEnvelope } from "../link/headers.ts";
import { type Chain, type Held, holdLive, missingUpTo, takeLive, UNKNOWN } from "./chain.ts";
import { readChannelEvent } from "./channel-event.ts";
import { isFlawed, toPublication } from "./publication.ts";

/** What the channels of one stream share; without history, what the channels of one namespace share. */
export interface ChannelContext {
  readonly rules: NamespaceRules;
  /** The stream that the messages come from; undefined without history. */
  readonly stream: ChannelStream | undefined;
  /** Subject that a channel's messages are stored under; without history, published to. */
  readonly subject: (name: ChannelName) => string;
  /** A message of a channel with sinks is not what the namespace accepts. */
  readonly rejected: (channel: ChannelName, offset: number, flaw: Flaw) => void;
  /** The last attachment of the channel has ended. */
  readonly idle: (channel: FollowedChannel) => void;
  /** Messages are given to sinks with the traces that they belong to. */
  readonly traced?: boolean | undefined;
  readonly log: Logger;
  readonly stats: Stats;
}

/** What the channels of one stream tell about it, and ask of it. */
interface ChannelStream {
  /** A message is in its place: it is the one that stands there. */
  readonly delivered: (envelope: Envelope) => void;
  /** A live message waits for what comes before it, or until it is known whether it continues what was seen. */
  readonly held: (envelope: Envelope) => void;
  /** A live message of the stream, in its place or held. */
  readonly saw: (envelope: Envelope) => void;
  /** Something is odd about the stream. */
  readonly suspect: () => void;
  /** Whether another message was seen at its sequence. That is looked at, then. */
  readonly contradicts: (envelope: Envelope) => boolean;
  /** A live message came whose place is taken already. */
  readonly duplicate: (envelope: Envelope) => void;
  /** The channel's newest message is not what the one after it says came before. */
  readonly odd: (channel: FollowedChannel, prev: number) => void;
  /** Whether what comes now continues what was seen is being looked at: it is held until that is known. */
  readonly doubtful: () => boolean;
  /** Whether channels may lack something that is being looked for. */
  readonly catchingUp: () => boolean;
  /** See {@link Attachment.look}. */
  readonly look: (channel: FollowedChannel) => Promise<void>;
  /** The channel holds a message whose predecessor is missing. */
  readonly behind: (channel: FollowedChannel) => void;
  /** The offset of a message, see {@link Offsets}. */
  readonly offset: (envelope: Envelope) => number;
  /** See {@link Attachment.current}. */
  readonly current: (position: Position) => Position | undefined;
}

/**
 * One channel this instance listens to: its chain and its sinks. It delivers by itself: a message goes from the
 * subscription through the chain to the sinks without passing its follower, which only brings up to date what the
 * chain finds missing.
 */
export class FollowedChannel implements Chain<Envelope> {
  readonly name: ChannelName;
  readonly #context: ChannelContext;
  last = UNKNOWN;
  held: Held<Envelope>[] | null = null;
  wanted = 0;
  /**
   * The offset that says how far the channel is: everything up to here has already been delivered, though its last
   * message may be older, or gone.
   */
  reached = 0;
  epoch = "";
  /** What is being done about something missing. */
  repair: "none" | "waiting" | "filling" = "none";
  /** Linked list of attachments, oldest first (usually one). */
  #first: ChannelAttachment | undefined = undefined;
  subscription: { unsubscribe(): void } | undefined;
  /** Set while the first attach is under way. */
  joining: Promise<void> | undefined;
  /** When the last attachment ended, ms of the monotonic clock. */
  idleSince = 0;
  lingering = false;

  constructor(name: ChannelName, context: ChannelContext) {
    this.name = name;
    this.#context = context;
  }

  /** Subject its messages are stored under. Not kept: it is seldom needed, and there are many channels. */
  get subject(): string {
    return this.#context.subject(this.name);
  }

  get position(): Position {
    return { epoch: this.epoch, offset: this.reached };
  }

  /** The sequence of {@link reached}. */
  get floor(): number {
    return sequenceOf(this.reached);
  }

  get closed(): boolean {
    return this.subscription === undefined;
  }

  /** Whether somebody is attached. */
  get attached(): boolean {
    return this.#first !== undefined;
  }

  attach(sink: ChannelSink): Attachment {
    const attachment = new ChannelAttachment(this, sink);
    let last = this.#first;
    while (last?.next) last = last.next;
    if (last) last.next = attachment;
    else this.#first = attachment;
    return attachment;
  }

  /** Called once for each attachment that ends. */
  detach(attachment: ChannelAttachment): void {
    if (this.#first === attachment) this.#first = attachment.next;
    else {
      for (let at = this.#first; at; at = at.next) {
        if (at.next === attachment) at.next = attachment.next;
      }
    }
    if (!this.#first) this.#context.idle(this);
  }

  /** Ends all attachments, also for sinks that are being called right now. */
  detachAll(): void {
    for (let at = this.#first; at; at = at.next) at.sink = undefined;
    this.#first = undefined;
  }

  /** Takes a message of its subscription. Never throws: that would end the library's read loop and the connection. */
  take(message: Msg): void {
    try {
      if (this.closed) return;
      const envelope = openEnvelope(message);
      const { stream, stats } = this.#context;
      if (!stream) {
        stats.brokerLive++;
        if (this.#first) this.#takeEphemeral(envelope);
      } else if (envelope.seq === 0) {
        this.#event(envelope);
      } else {
        stats.brokerLive++;
        this.#takeStored(stream, envelope);
      }
    } catch (error) {
      this.#context.log.error("a message could not be processed", { channel: this.name.id, error });
    }
  }

  #takeStored(stream: ChannelStream, envelope: Envelope): void {
    const { seq, prev } = envelope;
    // What is between was removed since, or the store has gone back and another past has grown there.
    if (prev < this.last && seq > this.last) stream.odd(this, prev);
    // Not delivered before it is known which of the two stands: the store has that one.
    if (stream.contradicts(envelope)) {
      this.wanted = Math.max(this.wanted, seq);
      stream.behind(this);
      return;
    }
    const outcome = this.#place(stream, envelope);
    if (outcome === "duplicate") {
      this.#context.stats.brokerDuplicates++;
      stream.duplicate(envelope);
      return;
    }
    stream.saw(envelope);
    if (outcome !== "held") return;
    stream.held(envelope);
    stream.behind(this);
  }

  #place(stream: ChannelStream, envelope: Envelope): "delivered" | "held" | "duplicate" {
    const { seq, prev } = envelope;
    // An empty channel has nothing up to its floor: this one is of a stream made anew.
    if (this.last !== UNKNOWN && seq <= this.floor) return "duplicate";
    if (stream.doubtful()) return holdLive(this, seq, prev, envelope);
    return takeLive(this, seq, prev, envelope, FollowedChannel.deliver);
  }

  /** The link was lost: what is held may be of a past that is gone when it is back. The store has it, or not. */
  dropHeld(): void {
    this.wanted = Math.max(this.wanted, this.held?.at(-1)?.seq ?? 0);
    this.held = null;
  }

  /** A position in the terms of the stream's life now, see {@link Attachment.current}. */
  current(position: Position): Position | undefined {
    const { stream } = this.#context;
    if (stream) return stream.current(position);
    return position.epoch === "" ? position : undefined;
  }

  /** See {@link Attachment.behind}. */
  get behind(): boolean {
    return missingUpTo(this) > 0 || (this.#context.stream?.catchingUp() ?? false);
  }

  /** See {@link Attachment.look}. */
  async look(): Promise<void> {
    if (!this.closed) await this.#context.stream?.look(this);
  }

  /** See {@link Attachment.advance}. */
  advance(offset: number): void {
    if (offset > this.reached) this.reached = offset;
  }

  /** The stream's life has another name; nothing of the channel is lost. */
  renew(epoch: string): void {
    this.epoch = epoch;
    for (let at = this.#first; at; at = at.next) {
      try {
        at.sink?.renewed?.(epoch);
      } catch (error) {
        this.#threw(error);
      }
    }
  }

  /** Gives the sinks a message that is next in line: what the chain calls. Static, as a function of each would cost memory. */
  static deliver(channel: FollowedChannel, _seq: number, prev: number | undefined, envelope: Envelope): void {
    const { rules, rejected, stream, traced } = channel.#context;
    const offset = stream ? stream.offset(envelope) : 0;
    if (stream && offset <= channel.reached) channel.#wentBack(stream, offset - 1);
    const before = channel.reached;
    channel.reached = offset;
    stream?.delivered(envelope);
    if (!channel.#first) return;
    const publication = toPublication(envelope, rules, offset, offsetBefore(prev, before), traced);
    if (isFlawed(publication)) {
      rejected(channel.name, offset, publication.flaw);
      return;
    }
    for (let at: ChannelAttachment | undefined = channel.#first; at; at = at.next) {
      try {
        at.sink?.publication(publication);
      } catch (error) {
        channel.#threw(error);
      }
    }
  }

  /** What is next lies before the channel's position: the stream is another one, or it had more than was said. */
  #wentBack(stream: ChannelStream, offset: number): void {
    stream.suspect();
    this.reached = offset;
    this.lost({ epoch: this.epoch, offset }, "truncated");
  }

  /** Tells the sinks that continuity is broken, see {@link ChannelSink.lost}. */
  lost(position: Position, why: "epoch" | "truncated"): void {
    for (let at = this.#first; at; at = at.next) {
      try {
        at.sink?.lost(position, why);
      } catch (error) {
        this.#threw(error);
      }
    }
  }

  #takeEphemeral(envelope: Envelope): void {
    if (this.#event(envelope)) return;
    // Another application's stream may republish to this subject: its sequences mean nothing here.
    envelope.seq = 0;
    FollowedChannel.deliver(this, 0, undefined, envelope);
  }

  /** Gives the sinks the channel event that a message is. Returns false when it is none. */
  #event(envelope: Envelope): boolean {
    const event = readChannelEvent(envelope, this.#context.rules, this.#context.traced);
    if (!event) return false;
    for (let at = this.#first; at; at = at.next) {
      try {
        at.sink?.event(event);
      } catch (error) {
        this.#threw(error);
      }
    }
    return true;
  }

  #threw(error: unknown): void {
    this.#context.log.error("a channel sink threw", { channel: this.name.id, error });
  }
}

/** A class and not a closure: there is one for each channel of an instance. */
class ChannelAttachment implements Attachment {
  readonly empty: boolean;
  readonly #channel: FollowedChannel;
  /** Undefined once it has ended. It may end while the channel's sinks are called, and still leads to the others then. */
  sink: ChannelSink | undefined;
  next: ChannelAttachment | undefined = undefined;

  constructor(channel: FollowedChannel, sink: ChannelSink) {
    this.#channel = channel;
    this.sink = sink;
    this.empty = channel.last === 0;
  }

  get position(): Position {
    return this.#channel.position;
  }

  current(position: Position): Position | undefined {
    return this.#channel.current(position);
  }

  get behind(): boolean {
    return this.#channel.behind;
  }

  look(): Promise<void> {
    return this.#channel.look();
  }

  advance(offset: number): void {
    if (this.sink) this.#channel.advance(offset);
  }

  detach(): void {
    if (!this.sink) return;
    this.sink = undefined;
    this.#channel.detach(this);
  }
}

/**
 * What the offset of the message before one is, of which the sequence is known. @param reached the channel's position
 * before it
 */
function offsetBefore(prev: number | undefined, reached: number): number | undefined {
  return prev === 0 ? 0 : prev !== undefined && sequenceOf(reached) === prev ? reached : undefined;
}
