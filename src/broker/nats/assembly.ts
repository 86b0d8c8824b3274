import type { Logger } from "../../core/log.ts";
import type { NamespaceRules, Namespaces } from "../../core/namespace.ts";
import { partsOf } from "../../core/partition.ts";
import type { Stats } from "../../core/stats.ts";
import type { Subjects } from "../../core/subject.ts";
import type { SignalListener } from "../broker.ts";
import { EphemeralFollower } from "./follow/ephemeral.ts";
import type { Intercept } from "./follow/followed-channels.ts";
import { StreamFollower } from "./follow/follower.ts";
import { NamespaceFollowers } from "./follow/followers.ts";
import { Link, type NatsAddress } from "./link/link.ts";
import { Pool } from "./link/pool.ts";
import { Requests } from "./link/requests.ts";
import { retryUntilReady } from "./link/retry.ts";
import { Control } from "./publish/control.ts";
import { EventQueue } from "./publish/event-queue.ts";
import { Publisher } from "./publish/publisher.ts";
import { StreamAdmin } from "./streams/admin.ts";
import { channelStream, eventStream, wantedStreams } from "./streams/config.ts";
import type { StreamLife } from "./streams/identity.ts";
import { misrouted } from "./streams/mapping-check.ts";
import { foreignLayout } from "./streams/partition-check.ts";
import { remake, StreamPlacement } from "./streams/placement.ts";

export interface NatsBrokerOptions extends NatsAddress {
  readonly namespaces: Namespaces;
  readonly instance: string;
  readonly region: string;
  readonly log: Logger;
  readonly stats: Stats;
  /** Region that the events of all live in. Unset: wherever their stream is made. */
  readonly home?: string | undefined;
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
  readonly streams: StreamAdmin;
  readonly regions: StreamPlacement;
  readonly publisher: Publisher;
  readonly events: EventQueue;
  readonly control: Control;
  /** By namespace: those with history, and those without. */
  readonly readers: ReadonlyMap<string, NamespaceFollowers>;
  readonly ephemerals: ReadonlyMap<string, EphemeralFollower>;
  /** Lets what was published be stored, then releases everything. */
  close(): Promise<void>;
}

/** Time `close` gives what was published to be stored, ms. */
const DRAIN_MS = 5_000;
/** Channels of a namespace read from its streams at a time. */
const READ_AT_A_TIME = 64;

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
    const streams = new StreamAdmin(requests, log);
    await retryUntilReady(() => streams.checkServer());
    const kept = [...options.namespaces.values()].filter(({ history }) => history !== null);
    await Promise.all(kept.map((rules) => checkLayout(streams, subjects, rules)));
    const regions = new StreamPlacement({ region, link, requests, streams, subjects, log, stats });
    const lives = await makeStreams(options, subjects, regions, link);
    await Promise.all(kept.map((rules) => checkRoute(link, subjects, rules)));
    const parts = assemble(options, subjects, listeners, link, requests, streams, regions, lives);
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
  { namespaces, home }: NatsBrokerOptions,
  subjects: Subjects,
  regions: StreamPlacement,
  link: Link,
): Promise<Map<string, StreamLife>> {
  const wanted = wantedStreams(subjects, namespaces, link.messageTtl, home);
  const events = subjects.eventStream();
  const lives = await Promise.all(wanted.map((one) => regions.start(one, one.name !== events)));
  return new Map(wanted.flatMap(({ name }, index) => (lives[index] ? [[name, lives[index]]] : [])));
}

/** @throws StartError when the namespace was divided into another number of streams before */
async function checkLayout(streams: StreamAdmin, subjects: Subjects, rules: NamespaceRules): Promise<void> {
  const problem = await retryUntilReady(() => foreignLayout(streams, subjects, rules));
  if (problem) throw problem;
}

/** @throws StartError when services' publishes do not get to the namespace's streams */
async function checkRoute(link: Link, subjects: Subjects, rules: NamespaceRules): Promise<void> {
  const problem = await retryUntilReady(() => misrouted(link, subjects, rules));
  if (problem) throw problem;
}

function assemble(
  options: NatsBrokerOptions,
  subjects: Subjects,
  listeners: ReadonlySet<SignalListener>,
  link: Link,
  requests: Requests,
  streams: StreamAdmin,
  regions: StreamPlacement,
  lives: ReadonlyMap<string, StreamLife>,
): Parts {
  const { namespaces, log, stats, instance, region, lingerMs = 10_000, intercept } = options;
  const readers = new Map<string, NamespaceFollowers>();
  const ephemerals = new Map<string, EphemeralFollower>();
  const byStream = new Map<string, StreamFollower>();
  const eventsWanted = eventStream(subjects, 1, options.home);
  const events = new EventQueue({
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
      ephemerals.set(rules.name, new EphemeralFollower({ ...common, rejected, listen: subject, subject }));
      continue;
    }
    const { history, partitions } = rules;
    const pool = new Pool(READ_AT_A_TIME);
    const all = partsOf(partitions).map((part) => {
      const wanted = channelStream(subjects, { ...rules, history }, link.messageTtl, part);
      const life = lives.get(wanted.name)!;
      const copies = regions.open(wanted, life);
      const reader: StreamFollower = new StreamFollower(
        {
          ...common,
          pool,
          store: copies,
          listen: subjects.live,
          subject: (name) => subjects.stored(name, partitions),
          cleared: (name) => subjects.cleared(name, partitions),
          rejected: rejecter(wanted.name),
          inspect: () => regions.inspect(copies, () => reader.high),
        },
        life,
      );
      byStream.set(wanted.name, reader);
      return reader;
    });
    readers.set(rules.name, new NamespaceFollowers(all));
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
  regions.watch(byStream.values());
  const control = new Control({ link, requests, subjects, instance, log, listeners });
  const timer = setInterval(() => {
    for (const reader of byStream.values()) reader.tick();
    regions.tick();
    stats.publishBacklog = publisher.backlog;
  }, 1_000);

  return {
    ...{ link, requests, streams, regions, publisher, events, control, readers, ephemerals },
    async close() {
      clearInterval(timer);
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
