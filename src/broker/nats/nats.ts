import { nuid } from "nats";
import type { ChannelName } from "../../core/channel.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import type { NamespaceRules } from "../../core/namespace.ts";
import { NO_POSITION } from "../../core/position.ts";
import type { Body } from "../../core/publication.ts";
import { subjects as subjectsOf } from "../../core/subject.ts";
import { utf8Encoder } from "../../core/text.ts";
import { BYTES_TYPE, checkBody, checkOptions } from "../body.ts";
import type { Broker, BrokerStatus, Published, PublishOptions, SignalListener } from "../broker.ts";
import { type NatsBrokerOptions, type Parts, startParts } from "./assembly.ts";
import { channelEventHeaders } from "./follow/channel-event.ts";
import type { StreamFollower } from "./follow/follower.ts";
import type { NamespaceFollowers } from "./follow/followers.ts";
import { readHistory } from "./follow/history.ts";
import { publishHeaders } from "./link/headers.ts";
import { NatsOutbox } from "./publish/outbox.ts";
import { mostReplicas } from "./streams/config.ts";

export type { NatsBrokerOptions } from "./assembly.ts";

const PUBLISH_TIMEOUT_MS = 4_000;
const CLEAR_TIMEOUT_MS = 5_000;

/**
 * The broker on NATS JetStream: streams that republish keep what namespaces with history are sent, core NATS carries
 * the rest. Needs nats-server 2.9 with JetStream; what newer servers could do better is in `status().server.missing`.
 */
export function natsBroker(options: NatsBrokerOptions): Broker {
  const { namespaces, stats } = options;
  const log = options.log.with({ at: "broker" });
  const subjects = subjectsOf(options.root);
  const signalListeners = new Set<SignalListener>();
  const statusListeners = new Set<(status: BrokerStatus) => void>();
  let status: BrokerStatus = { state: "connecting", sinceMs: Date.now() };
  let parts: Parts | undefined;
  let closing: Promise<void> | undefined;

  function enter(next: BrokerStatus): void {
    status = next;
    for (const listener of statusListeners) {
      try {
        listener(next);
      } catch (error) {
        log.error("a status listener threw", { error });
      }
    }
  }

  function rulesOf(namespace: string): NamespaceRules {
    const rules = namespaces.get(namespace);
    if (!rules) throw new CommandError(Errors.unknownChannel, "no such namespace");
    return rules;
  }

  function open(): Parts {
    if (!parts || closing) throw new CommandError(Errors.brokerUnavailable, `it is ${status.state}`);
    return parts;
  }

  /** @throws CommandError unknownChannel, notAvailable, brokerUnavailable */
  function readersOf(namespace: string): NamespaceFollowers {
    if (!rulesOf(namespace).history)
      throw new CommandError(Errors.notAvailable, "the namespace keeps no history");
    return open().readers.get(namespace)!;
  }

  function readerOf(channel: ChannelName): StreamFollower {
    return readersOf(channel.namespace).of(channel);
  }

  async function publish(channel: ChannelName, body: Body, publish: PublishOptions): Promise<Published> {
    const rules = rulesOf(channel.namespace);
    const { link, publisher } = open();
    checkOptions(publish);
    const checked = checkBody(body, rules);
    const headers = publishHeaders(publish.id ?? (rules.history ? nuid.next() : undefined), publish);
    if (typeof checked !== "string") headers.set("Content-Type", BYTES_TYPE);
    if (sizeOf(checked) > link.maxBody) {
      throw new CommandError(Errors.limitExceeded, "longer than the NATS server takes");
    }
    if (!rules.history) {
      // The library would keep it until the server is back, or lose it.
      if (!link.connected) throw new CommandError(Errors.brokerUnavailable, "no connection to NATS");
      link.nc.publish(subjects.message(channel), checked, { headers });
      return { ...NO_POSITION, duplicate: false };
    }
    const reader = readerOf(channel);
    const to = { subject: reader.subjectOf(channel), stream: reader.store.stream };
    const timeoutMs = publish.timeoutMs ?? options.publishTimeoutMs ?? PUBLISH_TIMEOUT_MS;
    const ack = await publisher.publish(to, checked, headers, timeoutMs);
    if (ack.regressed) await reader.inspect();
    reader.saw(ack.seq);
    return { epoch: reader.epoch, offset: ack.seq, duplicate: ack.duplicate };
  }

  return {
    driver: "nats",

    async start() {
      const started = await startParts({ ...options, log }, subjects, signalListeners);
      parts = started;
      started.link.onStatus(enter);
      enter(started.link.status);
    },

    close() {
      closing ??= (async () => {
        await parts?.close();
        signalListeners.clear();
        if (status.state !== "closed") enter({ state: "closed", sinceMs: Date.now() });
        statusListeners.clear();
      })();
      return closing;
    },

    status: () => status,

    onStatus(listener) {
      statusListeners.add(listener);
      return () => statusListeners.delete(listener);
    },

    async publish(channel, body, own = {}) {
      try {
        const published = await publish(channel, body, own);
        stats.publishes++;
        if (published.duplicate) stats.publishDuplicates++;
        return published;
      } catch (error) {
        stats.publishErrors++;
        throw error;
      }
    },

    sendEvent(channel, event) {
      if (!parts?.link.connected) return;
      // Where there is a stream, services publish to `rt.` only: a channel event cannot be theirs on `rtl.`.
      const subject = rulesOf(channel.namespace).history ? subjects.live(channel) : subjects.message(channel);
      const body = event.kind === "event" ? event.data : "";
      parts.link.nc.publish(subject, body, { headers: channelEventHeaders(event) });
    },

    async attach(channel, sink) {
      const rules = rulesOf(channel.namespace);
      const { readers, ephemerals } = open();
      const reader = rules.history ? readers.get(rules.name)!.of(channel) : ephemerals.get(rules.name)!;
      return await reader.attach(channel, sink);
    },

    async history(channel, query) {
      const follower = readerOf(channel);
      stats.streamReads++;
      const [subject, cleared] = [follower.subjectOf(channel), follower.clearedOf(channel)];
      return await readHistory({ follower, name: channel, subject, cleared }, query);
    },

    async clearHistory(channel) {
      const reader = readerOf(channel);
      const { stream } = reader.store;
      const { publisher, streams, regions } = open();
      const mark = { subject: reader.clearedOf(channel), stream };
      const { seq } = await publisher.publish(mark, "", publishHeaders(nuid.next(), {}), CLEAR_TIMEOUT_MS);
      await streams.purge(stream, reader.subjectOf(channel), seq);
      await regions.purge(stream, reader.subjectOf(channel), seq);
    },

    async storedChannels(namespace, limit) {
      const ids: string[] = [];
      for (const { store } of readersOf(namespace).all) {
        for (const subject of await open().streams.subjectsOf(store.stream, ">")) {
          if (ids.length >= limit) return ids;
          const channel = subjects.channel(subject);
          if (channel) ids.push(channel.id);
        }
      }
      return ids;
    },

    signal(kind, body, to) {
      // Malformed kinds are refused whether or not somebody could be told.
      if (parts) parts.control.signal(kind, body, to);
      else subjects.control(kind, to?.instance);
    },

    async survey(kind, body, own) {
      return parts ? await parts.control.survey(kind, body, own) : [];
    },

    onSignal(listener) {
      signalListeners.add(listener);
      return () => signalListeners.delete(listener);
    },

    async request(service, name, body, own) {
      return await open().control.request(service, name, body, own);
    },

    serve: (service, name, handler) => open().control.serve(service, name, handler),

    emit(kind, event, id) {
      if (parts && !closing) parts.events.emit(kind, event, id);
      else stats.eventsDropped++;
    },

    async outbox(own) {
      const { link, requests, streams } = open();
      const { instance, home } = options;
      const replicas = mostReplicas(namespaces);
      return await NatsOutbox.open({
        ...own,
        ...{ link, requests, streams, subjects, instance, replicas, home, log, stats },
      });
    },
  } satisfies Broker;
}

function sizeOf(body: Body): number {
  if (typeof body !== "string") return body.length;
  return body.length < 65_536 ? body.length * 3 : utf8Encoder.encode(body).length;
}
