import { Buffer } from "node:buffer";
import type { ChannelName } from "../../core/channel.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";
import type { NamespaceRules } from "../../core/namespace.ts";
import { NO_POSITION, type Position } from "../../core/position.ts";
import type { Body } from "../../core/publication.ts";
import { type Subjects, subjects as subjectsOf } from "../../core/subject.ts";
import { offsetOf, sequenceOf, tagOfText } from "../../core/tag.ts";
import { nuid } from "../../nats/client.ts";
import { BYTES_TYPE, checkBody, checkOptions } from "../body.ts";
import type {
  Attachment,
  Broker,
  BrokerStatus,
  ChannelSink,
  DocumentVersion,
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
import type { MissingStream, StreamOverview } from "../streams.ts";
import { type Parts, startParts } from "./assembly.ts";
import { channelEventHeaders } from "./follow/channel-event.ts";
import type { StreamFollower } from "./follow/follower.ts";
import type { NamespaceFollowers } from "./follow/followers.ts";
import { readHistory } from "./follow/history.ts";
import { verify } from "./follow/standing.ts";
import type { NatsBrokerOptions } from "./foundation.ts";
import type { HeaderBlock } from "./link/header-block.ts";
import { Envelope, publishHeaders } from "./link/headers.ts";
import { send as sendOn } from "./link/send.ts";
import { natsOutbox } from "./publish/outbox.ts";
import type { Ack, Destination, Publisher } from "./publish/publisher.ts";
import { publishVersion, writeVersion } from "./publish/versioned.ts";
import { JetStreamError } from "./streams/api-error.ts";
import { mostReplicas } from "./streams/config.ts";
import { streamOverviews } from "./streams/overview.ts";

export type { NatsBrokerOptions } from "./foundation.ts";

/** Time a publish may take when neither its caller nor the options say, ms. */
const PUBLISH_TIMEOUT_MS = 4_000;
/** Time the mark of a cleared channel may take to be stored, ms. */
const CLEAR_TIMEOUT_MS = 5_000;
/** Longest headers and UTF-16 units of infos for which a message need not be measured when its body is short. */
const SHORT_HEADER_BYTES = 8_192;
const SHORT_INFO_LENGTH = 1_024;

/**
 * The broker on NATS JetStream: streams that republish store what is sent to namespaces with history, core NATS carries
 * the rest. Needs nats-server 2.9 with JetStream; `status().server.missing` lists what newer servers could do better.
 */
export function natsBroker(options: NatsBrokerOptions): Broker {
  return new NatsBroker(options);
}

class NatsBroker implements Broker {
  readonly driver = "nats";
  readonly #options: NatsBrokerOptions;
  readonly #subjects: Subjects;
  readonly #log: Logger;
  readonly #signalListeners = new Set<SignalListener>();
  readonly #entryListeners = new Set<(entry: Entry) => void>();
  readonly #statusListeners = new Set<(status: BrokerStatus) => void>();
  #status: BrokerStatus = { state: "connecting", sinceMs: Date.now() };
  #parts: Parts | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: NatsBrokerOptions) {
    this.#options = options;
    this.#subjects = subjectsOf(options.root);
    this.#log = options.log.with({ at: "broker" });
  }

  async start(): Promise<void> {
    const parts = await startParts({
      ...this.#options,
      log: this.#log,
      subjects: this.#subjects,
      listeners: this.#signalListeners,
      entryListeners: this.#entryListeners,
    });
    this.#parts = parts;
    parts.link.onStatus((status) => this.#enter(status));
    this.#enter(parts.link.status);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  status(): BrokerStatus {
    return this.#status;
  }

  onStatus(listener: (status: BrokerStatus) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  async publish(channel: ChannelName, body: Body, options: PublishOptions = {}): Promise<Published> {
    const { stats } = this.#options;
    const sinceMs = performance.now();
    try {
      const published = await this.#publish(channel, body, options);
      stats.published(channel.namespace, published, performance.now() - sinceMs);
      return published;
    } catch (error) {
      const code = error instanceof CommandError ? error.error.code : undefined;
      stats.publishFailed(channel.namespace, code, performance.now() - sinceMs);
      throw error;
    }
  }

  sendEvent(channel: ChannelName, event: SentEvent): void {
    const link = this.#parts?.link;
    if (!link?.connected) return;
    // Where there is a stream, services publish to `rt.` only: a channel event on `rtl.` cannot be theirs.
    const { history } = this.#rulesOf(channel.namespace);
    const subject = history ? this.#subjects.live(channel) : this.#subjects.message(channel);
    const body = event.kind === "event" ? event.data : "";
    sendOn(link.nc, subject, body, { headers: channelEventHeaders(event) });
  }

  async attach(channel: ChannelName, sink: ChannelSink): Promise<Attachment> {
    const { name, history } = this.#rulesOf(channel.namespace);
    const { followers, ephemerals } = this.#open();
    const follower = history ? followers.get(name)!.of(channel) : ephemerals.get(name)!;
    return await follower.attach(channel, sink);
  }

  async history(channel: ChannelName, query: HistoryQuery): Promise<HistoryPage> {
    const follower = this.#followerOf(channel);
    this.#options.stats.streamReads++;
    const [subject, cleared] = [follower.subjectOf(channel), follower.clearedOf(channel)];
    return await readHistory({ follower, name: channel, subject, cleared }, query);
  }

  async verify(channel: ChannelName, position: Position): Promise<Verified> {
    const follower = this.#followerOf(channel);
    const verified = await verify(follower, position);
    // Whoever has seen more than its instance shows that this one lacks something.
    if (verified.standing === "stands") follower.checkHead(channel, sequenceOf(verified.position.offset));
    return verified;
  }

  async clearHistory(channel: ChannelName): Promise<void> {
    const follower = this.#followerOf(channel);
    const { stream } = follower.store;
    const { publisher, streams, placement } = this.#open();
    refuseAway(follower);
    const mark = { subject: follower.clearedOf(channel), stream };
    const { seq } = await publisher.publish(mark, "", publishHeaders(nuid.next(), {}), CLEAR_TIMEOUT_MS);
    await streams.purge(stream, follower.subjectOf(channel), seq);
    await placement.purge(stream, follower.subjectOf(channel), seq);
  }

  async storedChannels(namespace: string, limit: number): Promise<string[]> {
    const ids: string[] = [];
    for (const { store } of this.#followersOf(namespace).all) {
      for (const subject of await this.#open().streams.subjectsOf(store.stream, ">")) {
        if (ids.length >= limit) return ids;
        const channel = this.#subjects.channel(subject);
        if (channel) ids.push(channel.id);
      }
    }
    return ids;
  }

  async newestIn(namespace: string): Promise<StoredAt | undefined> {
    const heads = await Promise.all(this.#followersOf(namespace).all.map(({ store }) => store.last(">")));
    let newest: StoredAt | undefined;
    for (const head of heads) {
      // The mark of a cleared history is no message.
      const channel = head?.subject === undefined ? undefined : this.#subjects.channel(head.subject);
      if (!head || !channel || head.storedMs <= (newest?.timeMs ?? -1)) continue;
      newest = { channel: channel.id, timeMs: head.storedMs };
    }
    return newest;
  }

  signal(kind: string, body: unknown, to?: { instance: string }): void {
    if (this.#parts) this.#parts.control.signal(kind, body, to);
    // Throws for a malformed kind, whether or not anybody could be told.
    else this.#subjects.control(kind, to?.instance);
  }

  async survey(kind: string, body: unknown, options: Parameters<Broker["survey"]>[2]): Promise<unknown[]> {
    return this.#parts ? await this.#parts.control.survey(kind, body, options) : [];
  }

  onSignal(listener: SignalListener): () => void {
    this.#signalListeners.add(listener);
    return () => this.#signalListeners.delete(listener);
  }

  async putEntry(entry: Entry): Promise<void> {
    await this.#open().entries.put(entry);
  }

  entries(): readonly Entry[] {
    return this.#parts?.entries.current() ?? [];
  }

  onEntry(listener: (entry: Entry) => void): () => void {
    this.#entryListeners.add(listener);
    return () => this.#entryListeners.delete(listener);
  }

  async request(
    service: "rpc" | "auth",
    name: string,
    body: Body,
    options: RequestOptions,
  ): Promise<ServiceReply> {
    return await this.#open().control.request(service, name, body, options);
  }

  serve(
    service: "rpc" | "auth" | "control",
    name: string,
    handler: Parameters<Broker["serve"]>[2],
  ): () => void {
    return this.#open().control.serve(service, name, handler);
  }

  emit(...[kind, event, id, trace]: Parameters<Broker["emit"]>): void {
    if (this.#parts && !this.#closing) this.#parts.events.emit(kind, event, id, trace);
    else this.#options.stats.eventsDropped++;
  }

  async streams(): Promise<readonly (StreamOverview | MissingStream)[]> {
    try {
      return await streamOverviews(this.#subjects, this.#options.namespaces, this.#open());
    } catch (error) {
      if (!(error instanceof JetStreamError)) throw error;
      throw new CommandError(Errors.brokerUnavailable, error.message);
    }
  }

  async outbox(options: OutboxOptions): Promise<Outbox> {
    const { link, requests, streams, storage } = this.#open();
    const { instance, home, eventStreamBytes: maxBytes, namespaces, stats } = this.#options;
    return await natsOutbox({
      ...options,
      ...{ link, requests, streams, storage, instance, home, maxBytes, stats },
      subjects: this.#subjects,
      replicas: mostReplicas(namespaces),
      log: this.#log,
    });
  }

  async extend(added: readonly NamespaceRules[]): Promise<() => void> {
    return await this.#open().extend(added);
  }

  async #close(): Promise<void> {
    await this.#parts?.close();
    this.#signalListeners.clear();
    this.#entryListeners.clear();
    if (this.#status.state !== "closed") this.#enter({ state: "closed", sinceMs: Date.now() });
    this.#statusListeners.clear();
  }

  #enter(entered: BrokerStatus): void {
    const { degraded = [] } = this.#parts ?? {};
    const { server } = entered;
    const status = server && degraded.length > 0 ? { ...entered, server: { ...server, degraded } } : entered;
    this.#status = status;
    for (const listener of this.#statusListeners) {
      try {
        listener(status);
      } catch (error) {
        this.#log.error("a status listener threw", { error });
      }
    }
  }

  async #publish(channel: ChannelName, body: Body, options: PublishOptions): Promise<Published> {
    const rules = this.#rulesOf(channel.namespace);
    const { link, publisher } = this.#open();
    checkOptions(options);
    const checked = checkBody(body, rules);
    const id = options.id ?? (rules.history ? nuid.next() : "");
    const headers = publishHeaders(id === "" ? undefined : id, options);
    if (typeof checked !== "string") headers.set("Content-Type", BYTES_TYPE);
    if (options.version) headers.set("Trunkline-Version", writeVersion(options.version));
    if (!fits(checked, headers, options, link.maxPayload)) {
      throw new CommandError(Errors.limitExceeded, "longer than the NATS server takes");
    }
    if (!rules.history || options.skipHistory) {
      // The library would keep it until the server is back, or lose it.
      if (!link.connected) throw new CommandError(Errors.brokerUnavailable, "no connection to NATS");
      if (rules.history) headers.set("Trunkline-Notice", "message");
      const subject = rules.history ? this.#subjects.live(channel) : this.#subjects.message(channel);
      sendOn(link.nc, subject, checked, { headers });
      return { ...NO_POSITION, duplicate: false };
    }
    const follower = this.#followerOf(channel);
    refuseAway(follower);
    const to = { subject: follower.subjectOf(channel), stream: follower.store.stream };
    const timeoutMs = options.timeoutMs ?? this.#options.publishTimeoutMs ?? PUBLISH_TIMEOUT_MS;
    // Closures are made where they are needed: not for each message.
    const ack = options.version
      ? await publishVersionTo({ follower, publisher, to, checked, headers, timeoutMs }, options.version)
      : await publisher.publish(to, checked, headers, timeoutMs);
    // What is as new is already there.
    if (ack instanceof Envelope)
      return { epoch: follower.epoch, offset: offsetOf(ack.seq, tagOfText(ack.id ?? "")), duplicate: true };
    if (!ack.duplicate) follower.sightings.acknowledged(ack.seq, id);
    if (ack.regressed) await follower.inspect();
    const offset = offsetOf(ack.seq, tagOfText(id));
    return { epoch: follower.epoch, offset, duplicate: ack.duplicate };
  }

  /** @throws CommandError unknownChannel */
  #rulesOf(namespace: string): NamespaceRules {
    const rules = this.#options.namespaces.get(namespace);
    if (!rules) throw new CommandError(Errors.unknownChannel, "no such namespace");
    return rules;
  }

  /** @throws CommandError brokerUnavailable */
  #open(): Parts {
    if (this.#parts && !this.#closing) return this.#parts;
    throw new CommandError(Errors.brokerUnavailable, `it is ${this.#status.state}`);
  }

  /** @throws CommandError unknownChannel, notAvailable, brokerUnavailable */
  #followersOf(namespace: string): NamespaceFollowers {
    if (!this.#rulesOf(namespace).history) {
      throw new CommandError(Errors.notAvailable, "the namespace keeps no history");
    }
    return this.#open().followers.get(namespace)!;
  }

  #followerOf(channel: ChannelName): StreamFollower {
    return this.#followersOf(channel.namespace).of(channel);
  }
}

/** A message with a version, on its way to a stream. */
interface Versioned {
  readonly follower: StreamFollower;
  readonly publisher: Publisher;
  readonly to: Destination;
  readonly checked: Body;
  readonly headers: HeaderBlock;
  readonly timeoutMs: number;
}

/** @returns what the store says, or the message that is as new @throws as {@link publishVersion} does */
function publishVersionTo(
  { follower, publisher, to, checked, headers, timeoutMs }: Versioned,
  version: DocumentVersion,
): Promise<Ack | Envelope> {
  return publishVersion({
    version,
    head: () => follower.store.home.last(to.subject),
    send: (after) => {
      headers.set("Nats-Expected-Last-Subject-Sequence", String(after));
      return publisher.publish(to, checked, headers, timeoutMs);
    },
  });
}

/**
 * Fails at once what the stream's home would have to store while it is known to be away: to wait for it would slow down
 * whoever publishes in turn. @throws CommandError brokerUnavailable
 */
function refuseAway({ store }: StreamFollower): void {
  if (store.away) throw new CommandError(Errors.brokerUnavailable, "the home region does not answer");
}

/** Whether a message is one the server takes: by an upper bound where that is enough, else measured. */
function fits(body: Body, headers: HeaderBlock, { info, tags }: PublishOptions, maxBytes: number): boolean {
  const infoLength = (info?.connInfo?.length ?? 0) + (info?.chanInfo?.length ?? 0);
  const short = tags === undefined && infoLength <= SHORT_INFO_LENGTH;
  // Three bytes a character are the most that UTF-8 takes.
  const most = typeof body === "string" ? body.length * 3 : body.length;
  if (short && most + SHORT_HEADER_BYTES <= maxBytes) return true;
  const { length: headerBytes } = headers.encode();
  const bodyBytes = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  return headerBytes + bodyBytes <= maxBytes;
}
