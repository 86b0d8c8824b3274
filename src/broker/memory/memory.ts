import { type ChannelName, channelId } from "../../core/channel.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";
import type { Namespaces } from "../../core/namespace.ts";
import type { Body, ClientInfo } from "../../core/publication.ts";
import type { Stats } from "../../core/stats.ts";
import { subjects } from "../../core/subject.ts";
import { utf8Decoder, utf8Encoder } from "../../core/text.ts";
import { checkBody, checkOptions, isHeader, oneLine } from "../body.ts";
import type {
  Attachment,
  Broker,
  BrokerStatus,
  PublishOptions,
  ServiceReply,
  SignalListener,
} from "../broker.ts";
import { type BusMember, type Handler, type MemoryAttachment, MemoryBus } from "./bus.ts";
import { MemoryOutbox } from "./outbox.ts";

/** Longest request body in bytes: what nats-server carries by default. */
const MAX_REQUEST_BYTES = 1024 * 1024;

/**
 * Makes the shared state of one or more memory brokers.
 * @param options.now Unix ms; for tests of ageing
 */
export function memoryBus(options: { namespaces: Namespaces; now?: () => number }): MemoryBus {
  return new MemoryBus(options.namespaces, options.now ?? Date.now);
}

/**
 * The embedded broker: everything in this process, nothing survives it. It keeps the whole law of the port and is the
 * reference for the others; the namespaces' `replicas` mean nothing here.
 */
export function memoryBroker(options: {
  bus: MemoryBus;
  instance: string;
  log: Logger;
  stats: Stats;
}): Broker {
  const { bus, instance, stats } = options;
  const log = options.log.with({ at: "broker" });
  const subject = subjects();
  const attachments = new Set<MemoryAttachment>();
  const signalListeners = new Set<SignalListener>();
  const statusListeners = new Set<(status: BrokerStatus) => void>();
  const removals = new Set<() => void>();
  let status: BrokerStatus = { state: "connecting", sinceMs: bus.now() };

  const member: BusMember = {
    instance,
    signalled: (kind, body) => {
      const answers: unknown[] = [];
      for (const listener of signalListeners) {
        guarded("signal listener", () => {
          const answer = listener(kind, body);
          if (answer !== undefined) answers.push(copy(answer));
        });
      }
      return answers;
    },
    rejected(channel, flaw) {
      stats.bodiesRejected++;
      log.debug("message left out", { channel, reason: flaw });
    },
    failed: (error) => log.error("sink failed", { error }),
  };

  function guarded(what: string, call: () => void): void {
    try {
      call();
    } catch (error) {
      log.error(`${what} failed`, { error });
    }
  }

  function enter(state: BrokerStatus["state"]): void {
    status = { state, sinceMs: bus.now() };
    for (const listener of statusListeners) guarded("status listener", () => listener(status));
  }

  function requireConnected(): void {
    if (status.state !== "connected")
      throw new CommandError(Errors.brokerUnavailable, `it is ${status.state}`);
  }

  function store(channel: ChannelName, body: Body, publish: PublishOptions) {
    const rules = bus.rulesOf(channel.namespace);
    requireConnected();
    checkOptions(publish);
    const { id, info, tags, event, priority, except } = publish;
    return bus.publish(channel, id, {
      data: checkBody(body, rules),
      ...(info && { info: infoOf(info) }),
      ...(tags && { tags: { ...tags } }),
      ...(event !== undefined && { event }),
      ...(priority && { priority }),
      ...(except !== undefined && { except }),
    });
  }

  return {
    driver: "memory",

    async start() {
      bus.members.add(member);
      enter("connected");
      log.info("memory broker: nothing is kept across a restart");
    },

    async close() {
      if (status.state === "closed") return;
      bus.members.delete(member);
      for (const attachment of attachments) bus.detach(attachment);
      attachments.clear();
      for (const remove of [...removals]) remove();
      signalListeners.clear();
      enter("closed");
      statusListeners.clear();
    },

    status: () => status,

    onStatus(listener) {
      statusListeners.add(listener);
      return () => statusListeners.delete(listener);
    },

    async publish(channel, body, publish = {}) {
      try {
        const published = store(channel, body, publish);
        stats.publishes++;
        if (published.duplicate) stats.publishDuplicates++;
        return published;
      } catch (error) {
        stats.publishErrors++;
        throw error;
      }
    },

    sendEvent(channel, event) {
      if (status.state !== "connected") return;
      bus.sendEvent(channel, event.kind === "count" ? event : { ...event, info: infoOf(event.info) });
    },

    async attach(channel, sink): Promise<Attachment> {
      requireConnected();
      const attachment = bus.attach(channel, sink, member);
      attachments.add(attachment);
      return {
        get position() {
          return attachment.position;
        },
        detach() {
          attachments.delete(attachment);
          bus.detach(attachment);
        },
      };
    },

    async history(channel, query) {
      requireConnected();
      stats.streamReads++;
      return bus.logOf(channel.namespace).read(channel.name, query);
    },

    async clearHistory(channel) {
      requireConnected();
      bus.logOf(channel.namespace).clear(channel.name);
    },

    async storedChannels(namespace, limit) {
      requireConnected();
      return bus
        .logOf(namespace)
        .names(limit)
        .map((name) => channelId(namespace, name));
    },

    signal(kind, body, to) {
      subject.control(kind, to?.instance);
      if (status.state !== "connected") return;
      const sent = copy(body);
      bus.later(() => {
        for (const one of bus.members) {
          if (!to || one.instance === to.instance) one.signalled(kind, copy(sent));
        }
      });
    },

    survey(kind, body, { to, expect = Number.POSITIVE_INFINITY }) {
      subject.control(kind, to?.instance);
      if (status.state !== "connected") return Promise.resolve([]);
      const sent = copy(body);
      // Everybody who could answer does so in one go: there is nothing to wait for after that.
      return new Promise((resolve) => {
        bus.later(() => {
          const asked = [...bus.members].filter((one) => !to || one.instance === to.instance);
          resolve(asked.flatMap((one) => one.signalled(kind, copy(sent))).slice(0, expect));
        });
      });
    },

    onSignal(listener) {
      signalListeners.add(listener);
      return () => signalListeners.delete(listener);
    },

    async request(service, name, body, { headers = {}, timeoutMs }) {
      requireConnected();
      const handlers = bus.services.get(service === "rpc" ? subject.rpc(name) : subject.auth(name));
      const bytes = typeof body === "string" ? utf8Encoder.encode(body) : body;
      if (bytes.length > MAX_REQUEST_BYTES) throw new CommandError(Errors.limitExceeded, "request too long");
      if (!Object.entries(headers).every(([key, value]) => isHeader(key, value))) {
        throw new CommandError(Errors.badRequest, "malformed request header");
      }
      const [handler] = handlers ?? [];
      if (!handler) throw new CommandError(Errors.methodNotFound);
      return await answered(handler, utf8Decoder.decode(bytes), { ...headers }, timeoutMs);
    },

    serve(service, name, handler) {
      const at = service === "rpc" ? subject.rpc(name) : subject.auth(name);
      const handlers = bus.services.get(at) ?? new Set();
      bus.services.set(at, handlers.add(handler));
      const remove = () => {
        removals.delete(remove);
        handlers.delete(handler);
        if (handlers.size === 0 && bus.services.get(at) === handlers) bus.services.delete(at);
      };
      removals.add(remove);
      return remove;
    },

    emit(kind, event, id) {
      guarded("event", () => {
        bus.record(kind, copy(event) as typeof event, id);
        stats.eventsEmitted++;
      });
    },

    outbox: async (options) => new MemoryOutbox(bus.outbox, options, stats),
  } satisfies Broker;
}

/** What is left of a value that travelled as JSON. */
function copy(value: unknown): unknown {
  return value === undefined ? null : JSON.parse(JSON.stringify(value));
}

/** The infos of a client are spliced into frames like bodies, and so hold no raw newlines either. */
function infoOf({ client, user, connInfo, chanInfo }: ClientInfo): ClientInfo {
  return {
    client,
    user,
    ...(connInfo !== undefined && { connInfo: oneLine(connInfo) }),
    ...(chanInfo !== undefined && { chanInfo: oneLine(chanInfo) }),
  };
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
