import { type ChannelName, channelId } from "../../core/channel.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import { oneLine } from "../../core/json-check.ts";
import { eventText } from "../../core/json-value.ts";
import type { Logger } from "../../core/log.ts";
import type { NamespaceRules, Namespaces } from "../../core/namespace.ts";
import type { Position } from "../../core/position.ts";
import type { Body, ClientInfo } from "../../core/publication.ts";
import type { Stats } from "../../core/stats.ts";
import { subjects } from "../../core/subject.ts";
import { utf8Decoder, utf8Encoder } from "../../core/text.ts";
import { checkBody, checkOptions, isHeader } from "../body.ts";
import type {
  Attachment,
  Broker,
  BrokerStatus,
  ChannelSink,
  Entry,
  HistoryPage,
  HistoryQuery,
  Published,
  PublishOptions,
  RequestOptions,
  SentEvent,
  ServiceReply,
  SignalListener,
  StoredAt,
  Verified,
} from "../broker.ts";
import type { Outbox, OutboxOptions } from "../outbox.ts";
import { type BusMember, type Handler, type MemoryAttachment, MemoryBus, type Message } from "./bus.ts";
import { copyOf, guarded, Member } from "./member.ts";
import { memoryOutbox } from "./outbox.ts";

/** Longest request body in bytes: what nats-server carries by default. */
const MAX_REQUEST_BYTES = 1024 * 1024;

/** While it is put together. */
type Writable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Makes the shared state of one or more memory brokers.
 * @param options.now Unix ms; for tests of ageing
 */
export function memoryBus(options: { namespaces: Namespaces; now?: () => number }): MemoryBus {
  return new MemoryBus(options.namespaces, options.now ?? Date.now);
}

interface MemoryBrokerOptions {
  readonly bus: MemoryBus;
  readonly instance: string;
  readonly log: Logger;
  readonly stats: Stats;
}

/**
 * The embedded broker: everything is in this process and is gone with it. It keeps the whole law of the port and is the
 * reference for the other drivers; the namespaces' `replicas` mean nothing here.
 */
export function memoryBroker(options: MemoryBrokerOptions): Broker {
  return new MemoryBroker(options);
}

class MemoryBroker implements Broker {
  readonly driver = "memory";
  readonly #bus: MemoryBus;
  readonly #log: Logger;
  readonly #stats: Stats;
  readonly #member: Member;
  readonly #subjects = subjects();
  readonly #attachments = new Set<MemoryAttachment>();
  readonly #statusListeners = new Set<(status: BrokerStatus) => void>();
  /** Ends each of the services that are served here. */
  readonly #removals = new Set<() => void>();
  #status: BrokerStatus;

  constructor({ bus, instance, log, stats }: MemoryBrokerOptions) {
    this.#bus = bus;
    this.#log = log.with({ at: "broker" });
    this.#stats = stats;
    this.#member = new Member(instance, this.#log, stats);
    this.#status = { state: "connecting", sinceMs: bus.now() };
    this.#member.onReach = (reached) => this.#enter(reached ? "connected" : "disconnected");
  }

  async start(): Promise<void> {
    this.#bus.members.add(this.#member);
    this.#enter("connected");
    this.#log.info("memory broker: nothing is kept across a restart");
  }

  async extend(added: readonly NamespaceRules[]): Promise<() => void> {
    return () => this.#bus.extend(added);
  }

  async close(): Promise<void> {
    if (this.#status.state === "closed") return;
    this.#bus.members.delete(this.#member);
    for (const attachment of this.#attachments) this.#bus.detach(attachment);
    this.#attachments.clear();
    for (const remove of [...this.#removals]) remove();
    this.#member.listeners.clear();
    this.#member.entryListeners.clear();
    this.#enter("closed");
    this.#statusListeners.clear();
  }

  status(): BrokerStatus {
    return this.#status;
  }

  onStatus(listener: (status: BrokerStatus) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  async publish(channel: ChannelName, body: Body, options: PublishOptions = {}): Promise<Published> {
    const stats = this.#stats;
    const sinceMs = performance.now();
    try {
      const published = this.#publish(channel, body, options);
      stats.published(channel.namespace, published, performance.now() - sinceMs);
      return published;
    } catch (error) {
      const code = error instanceof CommandError ? error.error.code : undefined;
      stats.publishFailed(channel.namespace, code, performance.now() - sinceMs);
      throw error;
    }
  }

  sendEvent(channel: ChannelName, event: SentEvent): void {
    if (!this.#connected) return;
    this.#bus.sendEvent(channel, event.kind === "count" ? event : { ...event, info: infoOf(event.info) });
  }

  async attach(channel: ChannelName, sink: ChannelSink): Promise<Attachment> {
    this.#requireConnected();
    const attachment = this.#bus.attach(channel, sink, this.#member);
    this.#attachments.add(attachment);
    const detach = () => {
      this.#attachments.delete(attachment);
      this.#bus.detach(attachment);
    };
    return {
      get position() {
        return attachment.position;
      },
      current: (position) => this.#bus.current(channel, position),
      detach,
    };
  }

  async history(channel: ChannelName, query: HistoryQuery): Promise<HistoryPage> {
    this.#requireConnected();
    this.#stats.streamReads++;
    return this.#bus.logOf(channel.namespace).read(channel.name, query);
  }

  async verify(channel: ChannelName, position: Position): Promise<Verified> {
    this.#requireConnected();
    const current = this.#bus.current(channel, position);
    const standing = this.#bus.logOf(channel.namespace).standing(position);
    return { standing, position: current ?? position };
  }

  async clearHistory(channel: ChannelName): Promise<void> {
    this.#requireConnected();
    this.#bus.logOf(channel.namespace).clear(channel.name);
  }

  async storedChannels(namespace: string, limit: number): Promise<string[]> {
    this.#requireConnected();
    const names = this.#bus.logOf(namespace).names(limit);
    return names.map((name) => channelId(namespace, name));
  }

  async newestIn(namespace: string): Promise<StoredAt | undefined> {
    this.#requireConnected();
    const newest = this.#bus.logOf(namespace).newest();
    return newest && { channel: channelId(namespace, newest.name), timeMs: newest.timeMs };
  }

  signal(kind: string, body: unknown, to?: { instance: string }): void {
    this.#subjects.control(kind, to?.instance); // throws for a malformed kind
    if (!this.#connected) return;
    const sent = copyOf(body);
    this.#bus.later(() => {
      for (const member of this.#membersAt(to)) member.signalled(kind, copyOf(sent));
    });
  }

  async survey(
    kind: string,
    body: unknown,
    { to, expect = Number.POSITIVE_INFINITY }: Parameters<Broker["survey"]>[2],
  ): Promise<unknown[]> {
    this.#subjects.control(kind, to?.instance);
    if (!this.#connected) return [];
    const sent = copyOf(body);
    // All members answer within one task: there is nothing to wait for after it.
    return await new Promise((resolve) => {
      this.#bus.later(() => {
        const answers = this.#membersAt(to).flatMap((member) => member.signalled(kind, copyOf(sent)));
        resolve(answers.slice(0, expect));
      });
    });
  }

  onSignal(listener: SignalListener): () => void {
    this.#member.listeners.add(listener);
    return () => this.#member.listeners.delete(listener);
  }

  async putEntry(entry: Entry): Promise<void> {
    this.#requireConnected();
    this.#subjects.entry(entry.key); // throws for a malformed key
    this.#bus.putEntry({ ...entry, value: entry.value && (copyOf(entry.value) as Entry["value"]) });
  }

  entries(): readonly Entry[] {
    return this.#bus.currentEntries();
  }

  onEntry(listener: (entry: Entry) => void): () => void {
    this.#member.entryListeners.add(listener);
    return () => this.#member.entryListeners.delete(listener);
  }

  async request(
    service: "rpc" | "auth",
    name: string,
    body: Body,
    { headers = {}, timeoutMs }: RequestOptions,
  ): Promise<ServiceReply> {
    this.#requireConnected();
    const handlers = this.#bus.services.get(this.#serviceSubject(service, name));
    const bytes = typeof body === "string" ? utf8Encoder.encode(body) : body;
    if (bytes.length > MAX_REQUEST_BYTES) throw new CommandError(Errors.limitExceeded, "request too long");
    if (!Object.entries(headers).every(([key, value]) => isHeader(key, value))) {
      throw new CommandError(Errors.badRequest, "malformed request header");
    }
    const [handler] = handlers ?? [];
    if (!handler) throw new CommandError(Errors.methodNotFound);
    return await answered(handler, utf8Decoder.decode(bytes), { ...headers }, timeoutMs);
  }

  serve(service: "rpc" | "auth" | "control", name: string, handler: Handler): () => void {
    const { services } = this.#bus;
    const subject = this.#serviceSubject(service, name);
    const handlers = services.get(subject) ?? new Set();
    services.set(subject, handlers.add(handler));
    const remove = () => {
      this.#removals.delete(remove);
      handlers.delete(handler);
      if (handlers.size === 0 && services.get(subject) === handlers) services.delete(subject);
    };
    this.#removals.add(remove);
    return remove;
  }

  emit(...[kind, event, id, trace]: Parameters<Broker["emit"]>): void {
    guarded(this.#log, "event", () => {
      const text = eventText(event);
      this.#bus.record(kind, JSON.parse(text) as typeof event, id, { text, trace });
      this.#stats.eventsEmitted++;
    });
  }

  async outbox(options: OutboxOptions): Promise<Outbox> {
    return memoryOutbox(this.#bus.outbox, options, this.#stats);
  }

  get #connected(): boolean {
    return this.#status.state === "connected";
  }

  /** @throws CommandError brokerUnavailable */
  #requireConnected(): void {
    if (this.#connected) return;
    throw new CommandError(Errors.brokerUnavailable, `it is ${this.#status.state}`);
  }

  #enter(state: BrokerStatus["state"]): void {
    const status = { state, sinceMs: this.#bus.now() };
    this.#status = status;
    for (const listener of this.#statusListeners) {
      guarded(this.#log, "status listener", () => listener(status));
    }
  }

  #publish(channel: ChannelName, body: Body, options: PublishOptions): Published {
    const rules = this.#bus.rulesOf(channel.namespace);
    this.#requireConnected();
    checkOptions(options);
    const { id, info, tags, event, priority, except, skipHistory, version, trace: context } = options;
    // Member by member: an object for each that may be there would cost more than the rest of a publish.
    const message: Writable<Message> = { data: checkBody(body, rules) };
    if (info) message.info = infoOf(info);
    if (tags) message.tags = { ...tags };
    if (event !== undefined) message.event = event;
    if (priority) message.priority = priority;
    if (except !== undefined) message.except = except;
    if (context) message.trace = { context };
    if (!skipHistory || !rules.history) return this.#bus.publish(channel, id, message, version);
    return this.#bus.publishUnstored(channel, message);
  }

  /** All members, or the one of an instance. */
  #membersAt(to: { instance: string } | undefined): BusMember[] {
    return [...this.#bus.members].filter((one) => !to || one.instance === to.instance);
  }

  #serviceSubject(service: "rpc" | "auth" | "control", name: string): string {
    if (service === "control") return this.#subjects.control(name);
    return this.#subjects[service](name);
  }
}

/** The infos of a client are spliced into frames like bodies, and so hold no raw newlines either. */
function infoOf({ client, user, connInfo, chanInfo }: ClientInfo): ClientInfo {
  const info: Writable<ClientInfo> = { client, user };
  if (connInfo !== undefined) info.connInfo = oneLine(connInfo);
  if (chanInfo !== undefined) info.chanInfo = oneLine(chanInfo);
  return info;
}

/** @throws CommandError timeout */
async function answered(
  handler: Handler,
  body: string,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<ServiceReply> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new CommandError(Errors.timeout)), timeoutMs);
  });
  try {
    return await Promise.race([replyOf(handler, body, headers), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Never rejects: what a handler throws is an answer too. */
async function replyOf(
  handler: Handler,
  body: string,
  headers: Readonly<Record<string, string>>,
): Promise<ServiceReply> {
  await undefined; // not during the caller's own call
  try {
    return { data: await handler(body, headers) };
  } catch (error) {
    const { code, message } = error instanceof CommandError ? error.error : Errors.internal;
    return { data: "", error: { code, message } };
  }
}
