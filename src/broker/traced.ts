import type { ChannelName } from "../core/channel.ts";
import type { NamespaceRules } from "../core/namespace.ts";
import type { Position } from "../core/position.ts";
import type { Body, Publication } from "../core/publication.ts";
import type { Stats } from "../core/stats.ts";
import { subjects as subjectsOf } from "../core/subject.ts";
import { traceHeaders } from "../core/trace-context.ts";
import type { SpanFacts, Tracing } from "../core/tracing.ts";
import type {
  Attachment,
  Broker,
  BrokerStatus,
  ChannelEvent,
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
  Verified,
} from "./broker.ts";
import type { Outbox, OutboxOptions } from "./outbox.ts";
import type { MissingStream, StreamOverview } from "./streams.ts";

export interface TracedBrokerOptions {
  readonly tracing: Tracing;
  /** Deliveries are counted there while a sink takes a message. */
  readonly stats: Pick<Stats, "deliveries">;
  /** First token of the subjects. Default `rt`. */
  readonly root?: string;
}

/**
 * A broker whose work shows in traces: publishes until they are stored, what services are asked, and (for messages that come
 * with a recorded trace) what their sinks do with them. Whoever wants no traces takes the broker as it is.
 */
export function tracedBroker(broker: Broker, options: TracedBrokerOptions): Broker {
  return new TracedBroker(broker, options);
}

class TracedBroker implements Broker {
  readonly #broker: Broker;
  readonly #options: TracedBrokerOptions;
  readonly #subjects: ReturnType<typeof subjectsOf>;

  constructor(broker: Broker, options: TracedBrokerOptions) {
    this.#broker = broker;
    this.#options = options;
    this.#subjects = subjectsOf(options.root);
    // Whether there are any is told by the method's absence.
    if (broker.streams) this.streams = () => broker.streams!();
  }

  readonly streams?: () => Promise<readonly (StreamOverview | MissingStream)[]>;

  get driver(): Broker["driver"] {
    return this.#broker.driver;
  }

  publish(channel: ChannelName, body: Body, options: PublishOptions = {}): Promise<Published> {
    const start = {
      name: `publish ${channel.namespace}`,
      kind: "producer",
      facts: { ...this.#factsOf(channel, "publish", "send"), "messaging.message.id": options.id },
    } as const;
    return this.#options.tracing.span(start, async (span) => {
      const published = await this.#broker.publish(channel, body, { ...options, trace: span.context });
      const { offset, duplicate } = published;
      span.note({ "trunkline.offset": offset, "trunkline.duplicate": duplicate || undefined });
      return published;
    });
  }

  async attach(channel: ChannelName, sink: ChannelSink): Promise<Attachment> {
    return await this.#broker.attach(channel, {
      publication: (publication) => this.#deliver(channel, publication, () => sink.publication(publication)),
      event: (event: ChannelEvent) => {
        if (event.kind === "message") this.#deliver(channel, event.publication, () => sink.event(event));
        else sink.event(event);
      },
      lost: (position, why) => sink.lost(position, why),
      renewed: (epoch) => sink.renewed?.(epoch),
    });
  }

  request(service: "rpc" | "auth", name: string, body: Body, options: RequestOptions): Promise<ServiceReply> {
    const subject = service === "rpc" ? this.#subjects.rpc : this.#subjects.auth;
    const start = {
      name: service === "rpc" ? "ask rpc" : `ask ${name}`,
      kind: "client",
      facts: { "rpc.system.name": this.#broker.driver, "rpc.method": name },
    } as const;
    return this.#options.tracing.span(start, async (span) => {
      span.note({ "messaging.destination.name": subject(name) });
      const headers = { ...options.headers, ...traceHeaders(span.context) };
      const reply = await this.#broker.request(service, name, body, { ...options, headers });
      if (reply.error) span.failed(String(reply.error.code));
      return reply;
    });
  }

  emit(kind: string, event: Readonly<Record<string, unknown>>, id?: string): void {
    this.#broker.emit(kind, event, id, this.#options.tracing.active());
  }

  /** What sinks do with a message. Nothing is done for one that is not recorded. */
  #deliver(channel: ChannelName, { trace, offset }: Publication, take: () => void): void {
    if (!trace) {
      take();
      return;
    }
    const { tracing, stats } = this.#options;
    const { context, storedMs } = trace;
    const before = stats.deliveries;
    const beganMs = Date.now();
    try {
      take();
    } finally {
      tracing.record({
        name: `deliver ${channel.namespace}`,
        kind: "consumer",
        from: { caller: "service", context },
        startMs: storedMs ?? beganMs,
        facts: {
          ...this.#factsOf(channel, "deliver", "process"),
          "trunkline.offset": offset,
          "trunkline.deliveries": stats.deliveries - before,
          "trunkline.transit_ms": storedMs === undefined ? undefined : Math.max(0, beganMs - storedMs),
        },
      });
    }
  }

  #factsOf(channel: ChannelName, name: string, type: string): SpanFacts {
    return {
      "messaging.system": this.#broker.driver,
      "messaging.operation.name": name,
      "messaging.operation.type": type,
      "messaging.destination.name": this.#subjects.message(channel),
      "trunkline.channel": channel.id,
      "trunkline.namespace": channel.namespace,
    };
  }

  // ── as it is ─────────────────────────────────────────────────────────────────────────────────────────────────

  start(): Promise<void> {
    return this.#broker.start();
  }

  close(): Promise<void> {
    return this.#broker.close();
  }

  status(): BrokerStatus {
    return this.#broker.status();
  }

  onStatus(listener: (status: BrokerStatus) => void): () => void {
    return this.#broker.onStatus(listener);
  }

  outbox(options: OutboxOptions): Promise<Outbox> {
    return this.#broker.outbox(options);
  }

  extend(added: readonly NamespaceRules[]): Promise<() => void> {
    return this.#broker.extend(added);
  }

  sendEvent(channel: ChannelName, event: SentEvent): void {
    this.#broker.sendEvent(channel, event);
  }

  history(channel: ChannelName, query: HistoryQuery): Promise<HistoryPage> {
    return this.#broker.history(channel, query);
  }

  verify(channel: ChannelName, position: Position): Promise<Verified> {
    return this.#broker.verify(channel, position);
  }

  clearHistory(channel: ChannelName): Promise<void> {
    return this.#broker.clearHistory(channel);
  }

  newestIn(...asked: Parameters<Broker["newestIn"]>): ReturnType<Broker["newestIn"]> {
    return this.#broker.newestIn(...asked);
  }

  storedChannels(namespace: string, limit: number): Promise<string[]> {
    return this.#broker.storedChannels(namespace, limit);
  }

  signal(kind: string, body: unknown, to?: { instance: string }): void {
    this.#broker.signal(kind, body, to);
  }

  survey(...asked: Parameters<Broker["survey"]>): Promise<unknown[]> {
    return this.#broker.survey(...asked);
  }

  onSignal(listener: SignalListener): () => void {
    return this.#broker.onSignal(listener);
  }

  putEntry(entry: Entry): Promise<void> {
    return this.#broker.putEntry(entry);
  }

  entries(): readonly Entry[] {
    return this.#broker.entries();
  }

  onEntry(listener: (entry: Entry) => void): () => void {
    return this.#broker.onEntry(listener);
  }

  serve(...served: Parameters<Broker["serve"]>): () => void {
    return this.#broker.serve(...served);
  }
}
