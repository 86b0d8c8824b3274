import type { Logger } from "../core/log.ts";
import type { NamespaceRules, Namespaces } from "../core/namespace.ts";
import { partsOf } from "../core/partition.ts";
import type { Stats } from "../core/stats.ts";
import type { Subjects } from "../core/subject.ts";
import type { SignalListener } from "./broker.ts";
import type { Intercept } from "./nats-channel.ts";
import { Control } from "./nats-control.ts";
import { EphemeralReader } from "./nats-ephemeral.ts";
import { Events } from "./nats-events.ts";
import { foreignLayout } from "./nats-layout.ts";
import type { StreamLife } from "./nats-life.ts";
import { Link, type NatsAddress } from "./nats-link.ts";
import { Pool } from "./nats-pool.ts";
import { Publisher } from "./nats-publisher.ts";
import { Reader } from "./nats-reader.ts";
import { Readers } from "./nats-readers.ts";
import { RequestError, Requests } from "./nats-requests.ts";
import { misrouted } from "./nats-routes.ts";
import { Store } from "./nats-store.ts";
import { channelStream, eventStream, Streams, type WantedStream, wantedStreams } from "./nats-streams.ts";

export interface NatsBrokerOptions extends NatsAddress {
  readonly namespaces: Namespaces;
  readonly instance: string;
  readonly region: string;
  readonly log: Logger;
  readonly stats: Stats;
  /** First token of the subjects. Default `rt`. */
  readonly root?: string;
  /** How long a channel is followed on after its last sink has gone, ms. Default 10,000. */
  readonly lingerMs?: number;
  /** Most publishes sent and not yet acknowledged. Default 1,000. */
  readonly publishWindow?: number;
  /** Most publishes that wait for a place in the window. Default 10,000. */
  readonly publishQueue?: number;
  /** Time a publish may take, ms. Default 4,000. */
  readonly publishTimeoutMs?: number;
  /** Most events that wait to be stored. Default 10,000. */
  readonly eventQueue?: number;
  /** A silent link is given up after three of these, ms. Default 5,000. */
  readonly pingIntervalMs?: number;
  /** How long `start` tries to connect, ms. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** For tests: sees every live message first. */
  readonly intercept?: Intercept;
}

/** Everything a started broker consists of. */
export interface Parts {
  readonly link: Link;
  readonly requests: Requests;
  readonly streams: Streams;
  readonly publisher: Publisher;
  readonly events: Events;
  readonly control: Control;
  /** By namespace: those with history, and those without. */
  readonly readers: ReadonlyMap<string, Readers>;
  readonly ephemerals: ReadonlyMap<string, EphemeralReader>;
  /** Lets what was published be stored, then releases everything. */
  close(): Promise<void>;
}

/** Time `close` gives what was published to be stored, ms. */
const DRAIN_MS = 5_000;
/** How long `start` waits for JetStream to be ready, and the pause between two tries, ms. */
const READY_TIMEOUT_MS = 15_000;
const RETRY_MS = 250;
/** Channels of a namespace read from its streams at a time. */
const READ_AT_A_TIME = 64;
/** Pause before a stream that is gone is made anew, ms. */
const REMAKE_PAUSE_MS = 500;

/** Connects, makes the streams, listens. @throws Error that says how to mend it; nothing stays open then */
export async function startParts(
  options: NatsBrokerOptions,
  subjects: Subjects,
  listeners: ReadonlySet<SignalListener>,
): Promise<Parts> {
  const { log, stats, region, instance } = options;
  const link = await Link.open({
    ...options,
    name: `trunkline ${region} ${instance}`,
    pingIntervalMs: options.pingIntervalMs ?? 5_000,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
  });
  try {
    const requests = new Requests(link);
    const streams = new Streams(requests, log);
    await patiently(() => streams.checkServer());
    const kept = [...options.namespaces.values()].filter(({ history }) => history !== null);
    await Promise.all(kept.map((rules) => checkLayout(streams, subjects, rules)));
    const lives = await makeStreams(options, subjects, streams, link);
    await Promise.all(kept.map((rules) => checkRoute(link, subjects, rules)));
    const parts = assemble(options, subjects, listeners, link, requests, streams, lives);
    const { server } = link.status;
    log.info("NATS broker", {
      server: server?.version,
      missing: server?.missing,
      streams: [...lives.keys()],
      instance,
    });
    stats.publishBacklog = 0;
    return parts;
  } catch (error) {
    await link.close();
    throw error;
  }
}

async function makeStreams(
  { namespaces }: NatsBrokerOptions,
  subjects: Subjects,
  streams: Streams,
  link: Link,
): Promise<Map<string, StreamLife>> {
  const wanted = wantedStreams(subjects, namespaces, link.messageTtl);
  const lives = await Promise.all(wanted.map((one) => patiently(() => streams.ensure(one))));
  return new Map(wanted.map(({ name }, index) => [name, lives[index]!]));
}

/** @throws StartError when the namespace was divided into another number of streams before */
async function checkLayout(streams: Streams, subjects: Subjects, rules: NamespaceRules): Promise<void> {
  const problem = await patiently(() => foreignLayout(streams, subjects, rules));
  if (problem) throw problem;
}

/** @throws StartError when services' publishes do not get to the namespace's streams */
async function checkRoute(link: Link, subjects: Subjects, rules: NamespaceRules): Promise<void> {
  const problem = await patiently(() => misrouted(link, subjects, rules));
  if (problem) throw problem;
}

function assemble(
  options: NatsBrokerOptions,
  subjects: Subjects,
  listeners: ReadonlySet<SignalListener>,
  link: Link,
  requests: Requests,
  streams: Streams,
  lives: ReadonlyMap<string, StreamLife>,
): Parts {
  const { namespaces, log, stats, instance, region, lingerMs = 10_000, intercept } = options;
  const readers = new Map<string, Readers>();
  const ephemerals = new Map<string, EphemeralReader>();
  const byStream = new Map<string, Reader>();
  const eventsWanted = eventStream(subjects, 1);
  const events = new Events({
    ...{ link, requests, subjects, log, stats },
    queue: options.eventQueue ?? 10_000,
    // Only made when absent: whether it is as it must be was settled at the start.
    suspect: throttled(async () => {
      if (!(await streams.life(eventsWanted.name))) await remake(streams, eventsWanted);
    }, log),
  });
  const publisher = new Publisher({
    ...{ link, requests },
    window: options.publishWindow ?? 1_000,
    queue: options.publishQueue ?? 10_000,
    suspect: (stream) => byStream.get(stream)?.suspect(),
  });

  for (const rules of namespaces.values()) {
    const common = {
      rules,
      link,
      log,
      stats,
      lingerMs,
      ...(intercept && { intercept }),
    };
    if (!rules.history) {
      const rejected = rejecter("");
      const subject = subjects.message;
      ephemerals.set(rules.name, new EphemeralReader({ ...common, rejected, listen: subject, subject }));
      continue;
    }
    const { history, partitions } = rules;
    const pool = new Pool(READ_AT_A_TIME);
    const all = partsOf(partitions).map((part) => {
      const wanted = channelStream(subjects, rules.name, history, link.messageTtl, part);
      const reader = new Reader(
        {
          ...common,
          pool,
          store: new Store(link, requests, wanted.name),
          listen: subjects.live,
          subject: (name) => subjects.stored(name, partitions),
          cleared: (name) => subjects.cleared(name, partitions),
          rejected: rejecter(wanted.name),
          inspect: async () => (await streams.life(wanted.name)) ?? (await remake(streams, wanted)),
        },
        lives.get(wanted.name)!,
      );
      byStream.set(wanted.name, reader);
      return reader;
    });
    readers.set(rules.name, new Readers(all));
  }

  /** Reports a message that is left out; by the same id on all instances, where it has a sequence. */
  function rejecter(stream: string) {
    return (channel: { id: string }, offset: number, flaw: string) => {
      stats.bodiesRejected++;
      log.debug("message left out", { channel: channel.id, reason: flaw });
      const id = stream ? `rejected:${stream}:${byStream.get(stream)!.epoch}:${offset}` : undefined;
      const event = {
        type: "rejected",
        timeMs: Date.now(),
        instance,
        region,
        channel: channel.id,
        reason: flaw,
      };
      events.emit("rejected", offset > 0 ? { ...event, offset } : event, id);
    };
  }

  // A stream that is deleted or made anew is announced; where that is not allowed to be heard, audits find it.
  link.nc.subscribe("$JS.EVENT.ADVISORY.STREAM.*.*", {
    callback: (error, message) => {
      const [, , , , action, stream] = error ? [] : message.subject.split(".");
      const reader = byStream.get(stream ?? "");
      // Twice: an inspection under way may have been answered before this happened.
      if (reader && action !== "UPDATED") void reader.inspect().then(() => reader.inspect());
    },
  });
  const control = new Control({ link, requests, subjects, instance, log, listeners });
  const pulse = setInterval(() => {
    for (const reader of byStream.values()) reader.pulse();
    stats.publishBacklog = publisher.backlog;
  }, 1_000);

  return {
    ...{ link, requests, streams, publisher, events, control, readers, ephemerals },
    async close() {
      clearInterval(pulse);
      await Promise.all([publisher.drain(DRAIN_MS), events.drain(DRAIN_MS)]);
      control.close();
      for (const reader of [...byStream.values(), ...ephemerals.values()]) reader.close();
      publisher.close();
      events.close();
      await link.close();
      requests.close();
    },
  };
}

/** Tries again while JetStream is not ready: a cluster without a leader yet, a server that is still reading its files. */
async function patiently<T>(task: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof RequestError) || performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/**
 * Makes a stream anew that was deleted. Not at once: nats-server 2.9 announces and answers "not found" before it has
 * removed the files, and then removes those of the new stream.
 */
async function remake(streams: Streams, wanted: WantedStream): Promise<StreamLife> {
  await new Promise((resolve) => setTimeout(resolve, REMAKE_PAUSE_MS));
  return await streams.ensure(wanted);
}

/** Runs a task at most once a second, and logs its failure. */
function throttled(task: () => Promise<void>, log: Logger): () => void {
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    const now = performance.now();
    if (now - last < 1_000) return;
    last = now;
    task().catch((error: unknown) => log.warn("the stream of events cannot be made", { error }));
  };
}
