import type { ChannelName } from "../../core/channel.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import type { NamespaceRules, Namespaces } from "../../core/namespace.ts";
import { NO_POSITION, type Position } from "../../core/position.ts";
import type { Publication } from "../../core/publication.ts";
import { subjects } from "../../core/subject.ts";
import { readTraceContext, type TraceContext } from "../../core/trace-context.ts";
import type { EventOf } from "../../events/shapes.ts";
import { type Flaw, isRefused, readBody } from "../body.ts";
import type { ChannelEvent, ChannelSink, DocumentVersion, Entry, Published } from "../broker.ts";
import { MemoryLog } from "./log.ts";
import { OutboxLines } from "./outbox.ts";

/** Events kept at most; older ones are forgotten, with their ids. */
const MAX_EVENTS = 1_000;
/** Entries kept at most. */
const MAX_ENTRIES = 10_000;

/** Answers a request: text, or throws. */
export type Handler = (body: string, headers: Readonly<Record<string, string>>) => Promise<string> | string;

/** A message as it is published; the bus adds where and when. */
export type Message = Omit<Publication, "offset" | "prev" | "timeMs">;

/** One recorded event, as a reader of `rtevt.*` would have it. */
export interface RecordedEvent {
  readonly kind: string;
  readonly event: Readonly<Record<string, unknown>>;
  readonly id: string | undefined;
  /** As it is written. */
  readonly text: string;
  readonly trace?: TraceContext;
}

/** One sink on one channel. Nothing queued before it (up to ticket `born`) is for it. */
export interface MemoryAttachment {
  readonly channel: ChannelName;
  readonly sink: ChannelSink;
  readonly owner: BusMember;
  readonly born: number;
  position: Position;
}

/** A broker as the bus sees it. */
export interface BusMember {
  readonly instance: string;
  /** Hands a signal to its listeners; returns their answers. */
  signalled(kind: string, body: unknown): unknown[];
  /** An entry was put or removed. */
  entryPut(entry: Entry): void;
  /** The bus went away, or is back. */
  reached(reached: boolean): void;
  /** A message of a channel it is attached to was left out. */
  rejected(channel: string, flaw: Flaw): void;
  /** A sink threw. */
  failed(error: unknown): void;
}

/**
 * What several memory brokers of one process share: the embedded stand-in for NATS. Whatever is handed over arrives
 * in a later microtask, in the order it was handed over, and never while something else is being delivered.
 */
export class MemoryBus {
  readonly now: () => number;
  readonly members = new Set<BusMember>();
  /** Handlers by subject. */
  readonly services = new Map<string, Set<Handler>>();
  readonly outbox = new OutboxLines();
  readonly #namespaces: Namespaces;
  readonly #logs = new Map<string, MemoryLog>();
  readonly #attached = new Map<string, Set<MemoryAttachment>>();
  readonly #events = new Map<string | number, RecordedEvent>();
  readonly #entries = new Map<string, Entry>();
  #eventCount = 0;
  #queue: (() => void)[] = [];
  /** Number of deliveries handed over so far. */
  #ticket = 0;

  constructor(namespaces: Namespaces, now: () => number) {
    this.#namespaces = namespaces;
    this.now = now;
    this.extend(namespaces.values());
  }

  /** Keeps the messages of these namespaces, too; what is kept already stays. */
  extend(namespaces: Iterable<NamespaceRules>): void {
    for (const { name, history } of namespaces) {
      if (history && !this.#logs.has(name)) this.#logs.set(name, new MemoryLog(history, this.now));
    }
  }

  /** @throws CommandError unknownChannel */
  rulesOf(namespace: string): NamespaceRules {
    const rules = this.#namespaces.get(namespace);
    if (!rules) throw new CommandError(Errors.unknownChannel, "no such namespace");
    return rules;
  }

  /** @throws CommandError unknownChannel, notAvailable when the namespace keeps nothing */
  logOf(namespace: string): MemoryLog {
    this.rulesOf(namespace);
    const log = this.#logs.get(namespace);
    if (!log) throw new CommandError(Errors.notAvailable, "the namespace keeps no history");
    return log;
  }

  /**
   * Stores and delivers one message.
   * @param id idempotency key
   * @param message `undefined` when it is not acceptable: it only takes its place in the sequence
   * @param version see {@link PublishOptions.version}
   */
  publish(
    channel: ChannelName,
    id: string | undefined,
    message: Message | undefined,
    version?: DocumentVersion,
  ): Published {
    const timeMs = this.now();
    const log = this.#logs.get(channel.namespace);
    if (!log) {
      if (message) this.#deliver(channel.id, { ...message, offset: 0, timeMs }, NO_POSITION);
      return { ...NO_POSITION, duplicate: false };
    }
    const first =
      (id === undefined ? undefined : log.find(id)) ?? (version && log.asNew(channel.name, version));
    if (first) return { ...first, duplicate: true };
    const { position, publication } = log.append(
      channel.name,
      id,
      (offset, prev) => message && { ...message, offset, prev, timeMs },
      version,
    );
    this.#deliver(channel.id, publication, position);
    return { ...position, duplicate: false };
  }

  /** Delivers one message beside what is stored. */
  publishUnstored(channel: ChannelName, message: Message): Published {
    const publication = { ...message, offset: 0, timeMs: this.now() };
    this.sendEvent(channel, { kind: "message", publication });
    return { ...NO_POSITION, duplicate: false };
  }

  /** See {@link Attachment.current}. */
  current(channel: ChannelName, position: Position): Position | undefined {
    const epoch = this.#logs.get(channel.namespace)?.end.epoch ?? "";
    return position.epoch === "" || position.epoch === epoch ? { epoch, offset: position.offset } : undefined;
  }

  sendEvent(channel: ChannelName, event: ChannelEvent): void {
    this.#toAttached(channel.id, (attachment) => attachment.sink.event(event));
  }

  attach(channel: ChannelName, sink: ChannelSink, owner: BusMember): MemoryAttachment {
    const { history } = this.rulesOf(channel.namespace);
    const position = history ? this.logOf(channel.namespace).position(channel.name) : NO_POSITION;
    const attachment = { channel, sink, owner, born: this.#ticket, position };
    const attached = this.#attached.get(channel.id);
    if (attached) attached.add(attachment);
    else this.#attached.set(channel.id, new Set([attachment]));
    return attachment;
  }

  /** Idempotent. */
  detach(attachment: MemoryAttachment): void {
    const { id } = attachment.channel;
    const attached = this.#attached.get(id);
    if (attached?.delete(attachment) && attached.size === 0) this.#attached.delete(id);
  }

  /** @throws CommandError limitExceeded */
  putEntry(entry: Entry): void {
    const current = this.currentEntries();
    if (entry.value === undefined) this.#entries.delete(entry.key);
    else if (current.length >= MAX_ENTRIES && !this.#entries.has(entry.key)) {
      throw new CommandError(Errors.limitExceeded, "too many entries");
    } else this.#entries.set(entry.key, entry);
    this.later(() => {
      for (const member of this.members) member.entryPut(entry);
    });
  }

  /** Those that have not expired; the others are forgotten. */
  currentEntries(): Entry[] {
    const now = this.now();
    for (const { key, expiresAtMs } of this.#entries.values()) {
      if (expiresAtMs <= now) this.#entries.delete(key);
    }
    return [...this.#entries.values()];
  }

  /** Records an event; one with an `id` that is still kept is recorded already. */
  record(
    kind: string,
    event: Readonly<Record<string, unknown>>,
    id: string | undefined,
    { text = JSON.stringify(event), trace }: { text?: string; trace?: TraceContext | undefined } = {},
  ): void {
    const key = id ?? this.#eventCount++;
    if (this.#events.has(key)) return;
    this.#events.set(key, { kind, event, id, text, ...(trace && { trace }) });
    if (this.#events.size <= MAX_EVENTS) return;
    const [oldest] = this.#events.keys();
    this.#events.delete(oldest!);
  }

  /** Events recorded so far, oldest first. */
  get events(): readonly RecordedEvent[] {
    return [...this.#events.values()];
  }

  /** Runs `task` in a later microtask, behind everything handed over before. It must not throw. */
  later(task: () => void): void {
    this.#queue.push(task);
    if (this.#queue.length === 1) queueMicrotask(() => this.#run());
  }

  /** What a plain publish to a NATS subject is: a message of a service that is no instance. */
  raw(subject: string, bytes: Uint8Array, headers: Readonly<Record<string, string>>): void {
    const channel = subjects().channel(subject);
    const rules = channel && this.#namespaces.get(channel.namespace);
    if (!rules) return;
    const data = readBody(bytes, headers["Content-Type"], rules);
    const id = headers["Nats-Msg-Id"];
    if (!isRefused(data)) {
      this.publish(channel, id, { data, ...fields(headers) });
      return;
    }
    this.publish(channel, id, undefined);
    const event: EventOf<"rejected"> = {
      ...{ type: "rejected", timeMs: this.now(), channel: channel.id, reason: data.flaw },
    };
    this.record("rejected", event, undefined);
    this.#toAttached(channel.id, ({ owner }) => owner.rejected(channel.id, data.flaw));
  }

  /** Fault for tests: loses a namespace's log with everything in it; what is attached there is told. */
  reset(namespace: string): void {
    this.logOf(namespace).reset();
    for (const [any] of this.#attached.values()) {
      if (any?.channel.namespace === namespace) this.#lose(any.channel, "epoch");
    }
  }

  /** Fault for tests: nothing can be published or read while it is away; what is delivered already goes on. */
  setAway(away: boolean): void {
    for (const member of this.members) member.reached(!away);
  }

  /** Fault for tests: drops what is kept of a channel, as if before what is attached to it could read it. */
  truncate(channel: ChannelName): void {
    this.logOf(channel.namespace).clear(channel.name);
    this.#lose(channel, "truncated");
  }

  #lose(channel: ChannelName, why: "epoch" | "truncated"): void {
    const position = this.logOf(channel.namespace).end;
    this.#toAttached(channel.id, (attachment) => {
      attachment.position = position;
      attachment.sink.lost(position, why);
    });
  }

  #deliver(channel: string, publication: Publication | undefined, position: Position): void {
    this.#toAttached(channel, (attachment) => {
      attachment.position = position;
      if (publication) attachment.sink.publication(publication);
    });
  }

  #toAttached(channel: string, give: (attachment: MemoryAttachment) => void): void {
    const ticket = ++this.#ticket;
    this.later(() => {
      for (const attachment of this.#attached.get(channel) ?? []) {
        if (attachment.born >= ticket) continue;
        try {
          give(attachment);
        } catch (error) {
          attachment.owner.failed(error);
        }
      }
    });
  }

  #run(): void {
    for (let at = 0; at < this.#queue.length; at++) this.#queue[at]!();
    this.#queue = [];
  }
}

/** What the public headers of a message say. */
function fields(headers: Readonly<Record<string, string>>): Partial<Message> {
  const priority = headers["Trunkline-Priority"];
  const context = readTraceContext(headers.traceparent, headers.tracestate);
  const tags = Object.entries(headers)
    .filter(([name]) => name.startsWith(TAG))
    .map(([name, value]) => [name.slice(TAG.length), value] as const);
  return {
    ...(headers["Trunkline-Event"] !== undefined && { event: headers["Trunkline-Event"] }),
    ...(headers["Trunkline-Except"] !== undefined && { except: headers["Trunkline-Except"] }),
    ...((priority === "low" || priority === "normal" || priority === "high") && { priority }),
    ...(context && { trace: { context } }),
    ...(tags.length > 0 && { tags: Object.fromEntries(tags) }),
  };
}

const TAG = "Trunkline-Tag-";
