import type { NamespaceRules } from "../../core/namespace.ts";
import { partsOf } from "../../core/partition.ts";
import type { EphemeralFollower } from "./follow/ephemeral.ts";
import type { StreamFollower } from "./follow/follower.ts";
import type { NamespaceFollowers } from "./follow/followers.ts";
import { followEphemeral, followNamespace, hasHistory, rejectionReporter } from "./follow/namespaces.ts";
import type { Foundation, StartOptions } from "./foundation.ts";
import { type Link, openLink } from "./link/link.ts";
import { Requests } from "./link/requests.ts";
import { retryUntilReady } from "./link/retry.ts";
import { Control } from "./publish/control.ts";
import { Entries } from "./publish/entries.ts";
import { EventBacklog } from "./publish/event-backlog.ts";
import { EventQueue } from "./publish/event-queue.ts";
import { Publisher } from "./publish/publisher.ts";
import { StorageWatch } from "./publish/storage-watch.ts";
import { StreamAdmin } from "./streams/admin.ts";
import { channelStream, entryStream, eventStream, mostReplicas, wantedStreams } from "./streams/config.ts";
import type { StreamLife } from "./streams/identity.ts";
import { misrouted } from "./streams/mapping-check.ts";
import { foreignLayout } from "./streams/partition-check.ts";
import { remake, StreamPlacement } from "./streams/placement.ts";
import { checkReplicas } from "./streams/replica-floor.ts";

/** Everything a started broker consists of. */
export interface Parts {
  readonly link: Link;
  readonly requests: Requests;
  readonly streams: StreamAdmin;
  readonly placement: StreamPlacement;
  readonly publisher: Publisher;
  readonly storage: StorageWatch;
  readonly events: EventQueue;
  readonly entries: Entries;
  readonly control: Control;
  /** By namespace: those with history, and those without. */
  readonly followers: ReadonlyMap<string, NamespaceFollowers>;
  readonly ephemerals: ReadonlyMap<string, EphemeralFollower>;
  /** What is promised less for than the settings say. */
  readonly degraded: readonly string[];
  /** See `Broker.extend`. */
  extend(added: readonly NamespaceRules[]): Promise<() => void>;
  /** Lets what was published be stored, then releases everything. */
  close(): Promise<void>;
}

/** Time `close` gives what was published to be stored, ms. */
const DRAIN_MS = 5_000;
/** Time between two ticks of the followers, ms. */
const TICK_MS = 1_000;
/** Least time between two looks at the stream of events, ms. */
const EVENTS_LOOK_PAUSE_MS = 1_000;

/** Connects, makes the streams, listens. @throws Error that says how to mend it; nothing stays open then */
export async function startParts(options: StartOptions): Promise<Parts> {
  const { log, stats, region, instance } = options;
  const link = await openLink({
    ...options,
    name: `trunkline ${region} ${instance}`,
    pingIntervalMs: options.pingIntervalMs ?? 5_000,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
  });
  try {
    const foundation = lay(options, link);
    const degraded = await checkReplicas({ ...foundation, replicas: mostReplicas(options.namespaces) });
    const lives = await prepareStreams(foundation);
    const parts = { ...assemble(foundation, lives), degraded };
    await parts.entries.look();
    warnOfSmallPayload(options, link);
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

/** Names what the settings allow and the NATS server does not take. */
function warnOfSmallPayload({ namespaces, longestRequest = 0, log }: StartOptions, link: Link): void {
  const allowed = [...namespaces.values()].map(
    ({ name, maxMessageBytes }) => [`namespaces.${name}.maxMessage`, maxMessageBytes] as const,
  );
  const { ordinaryBody, maxPayload } = link;
  const beyond = [...allowed, ["rpc.body", longestRequest] as const].filter(
    ([, bytes]) => bytes > ordinaryBody,
  );
  if (beyond.length === 0) return;
  log.warn("the NATS server takes less than the settings allow: longer messages are refused", {
    maxPayload,
    allowed: beyond.map(([setting, bytes]) => `${setting} ${bytes}`).join(", "),
    remedy: "raise max_payload in nats-server's configuration, or lower these settings",
  });
}

function lay(options: StartOptions, link: Link): Foundation {
  const { log, stats, region, subjects } = options;
  const requests = new Requests(link);
  const streams = new StreamAdmin(requests, log);
  const placement = new StreamPlacement({ region, link, requests, streams, subjects, log, stats });
  const storage = new StorageWatch(stats, log);
  return { ...options, link, requests, streams, placement, storage };
}

// ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Makes all streams, between two checks that they can do their work. Resolves with the lives of those that answer. */
async function prepareStreams(foundation: Foundation): Promise<Map<string, StreamLife>> {
  const { namespaces, streams } = foundation;
  const kept = [...namespaces.values()].filter(hasHistory);
  await retryUntilReady(() => streams.checkServer());
  await Promise.all(kept.map((rules) => checkPartitions(foundation, rules)));
  const lives = await makeStreams(foundation);
  await Promise.all(kept.map((rules) => checkMapping(foundation, rules)));
  return lives;
}

async function makeStreams(foundation: Foundation): Promise<Map<string, StreamLife>> {
  const { namespaces, home, eventStreamBytes: maxBytes, subjects, placement, link } = foundation;
  const wanted = wantedStreams(subjects, namespaces, link.messageTtl, { home, maxBytes });
  const events = subjects.eventStream();
  const lives = new Map<string, StreamLife>();
  // Those that need so much room and no less come first: the others take what is left.
  const [sized = [], others = []] = [true, false].map((is) =>
    wanted.filter(({ max_bytes }) => (max_bytes !== undefined) === is),
  );
  for (const some of [sized, others]) {
    await Promise.all(
      some.map(async (one) => {
        const life = await placement.start(one, one.name !== events);
        if (life) lives.set(one.name, life);
      }),
    );
  }
  return lives;
}

/** @throws StartError when the namespace was divided into another number of streams before */
async function checkPartitions({ streams, subjects }: Foundation, rules: NamespaceRules): Promise<void> {
  const problem = await retryUntilReady(() => foreignLayout(streams, subjects, rules));
  if (problem) throw problem;
}

/** @throws StartError when services' publishes do not get to the namespace's streams */
async function checkMapping({ link, subjects }: Foundation, rules: NamespaceRules): Promise<void> {
  const problem = await retryUntilReady(() => misrouted(link, subjects, rules));
  if (problem) throw problem;
}

/** Makes the streams of namespaces that come later. Resolves with their lives. @throws StartError */
async function prepareMore(
  foundation: Foundation,
  added: readonly NamespaceRules[],
): Promise<Map<string, StreamLife>> {
  const { placement, subjects, link } = foundation;
  const lives = new Map<string, StreamLife>();
  for (const rules of added.filter(hasHistory)) {
    await checkReplicas({ ...foundation, replicas: rules.history.replicas });
    await checkPartitions(foundation, rules);
    for (const part of partsOf(rules.partitions)) {
      const wanted = channelStream(subjects, rules, link.messageTtl, part);
      lives.set(wanted.name, (await placement.start(wanted, true))!);
    }
    await checkMapping(foundation, rules);
  }
  return lives;
}

// ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

function assemble(foundation: Foundation, lives: ReadonlyMap<string, StreamLife>): Omit<Parts, "degraded"> {
  const { namespaces, link, requests, streams, placement, stats } = foundation;
  const followers = new Map<string, NamespaceFollowers>();
  const ephemerals = new Map<string, EphemeralFollower>();
  const byStream = new Map<string, StreamFollower>();
  const events = eventQueue(foundation);
  const publisher = new Publisher({
    ...{ link, requests },
    window: foundation.publishWindow ?? 1_000,
    queue: foundation.publishQueue ?? 10_000,
    suspect: (stream) => byStream.get(stream)?.suspect(),
    storage: foundation.storage,
  });
  const report = rejectionReporter(foundation, events);
  const follow = (all: Iterable<NamespaceRules>, lives: ReadonlyMap<string, StreamLife>) => {
    for (const rules of all) {
      if (hasHistory(rules)) {
        const own = followNamespace(foundation, rules, lives, report);
        followers.set(rules.name, own);
        for (const follower of own.all) byStream.set(follower.store.stream, follower);
        placement.watch(own.all);
      } else ephemerals.set(rules.name, followEphemeral(foundation, rules, report));
    }
  };
  follow(namespaces.values(), lives);
  const entries = followEntries(foundation, publisher, lives);
  watchStreams(link, byStream);
  const control = new Control(foundation);
  const backlog = new EventBacklog(foundation);
  const timer = setInterval(() => {
    for (const follower of byStream.values()) follower.tick();
    placement.tick();
    backlog.tick();
    stats.publishBacklog = publisher.backlog;
  }, TICK_MS);

  return {
    ...{ link, requests, streams, placement, publisher, events, entries, control, followers, ephemerals },
    storage: foundation.storage,
    async extend(added) {
      const made = await prepareMore(foundation, added);
      return () => follow(added, made);
    },
    async close() {
      clearInterval(timer);
      await Promise.all([publisher.drain(DRAIN_MS), events.drain(DRAIN_MS)]);
      control.close();
      entries.close();
      for (const follower of [...byStream.values(), ...ephemerals.values()]) follower.close();
      publisher.close();
      events.close();
      await link.close();
      requests.close();
    },
  };
}

function followEntries(
  foundation: Foundation,
  publisher: Publisher,
  lives: ReadonlyMap<string, StreamLife>,
): Entries {
  const { link, streams, subjects, log, namespaces, placement, home, entryListeners } = foundation;
  const wanted = entryStream(subjects, { replicas: mostReplicas(namespaces), home });
  return new Entries({
    ...{ link, publisher, streams, subjects, wanted, log, listeners: entryListeners },
    store: placement.open(wanted, lives.get(wanted.name)!),
    async remake() {
      if (await streams.life(wanted.name)) return false;
      await remake(streams, wanted);
      return true;
    },
  });
}

function eventQueue(foundation: Foundation): EventQueue {
  const { streams, subjects, link, requests, storage, log, stats, home } = foundation;
  const maxBytes = foundation.eventStreamBytes;
  const wanted = eventStream(subjects, { replicas: 1, home, maxBytes });
  let lookedAt = Number.NEGATIVE_INFINITY;
  // The stream is only made when it is absent: whether its settings are right was checked at the start.
  const makeWhenGone = async () => {
    if (!(await streams.life(wanted.name))) await remake(streams, wanted);
  };
  return new EventQueue({
    ...{ link, requests, storage, subjects, log, stats },
    queue: foundation.eventQueue ?? 10_000,
    suspect() {
      const now = performance.now();
      if (now - lookedAt < EVENTS_LOOK_PAUSE_MS) return;
      lookedAt = now;
      makeWhenGone().catch((error: unknown) => log.warn("the event stream cannot be created", { error }));
    },
  });
}

/** Inspects streams that are deleted, made anew, given another life or led by another server. Where the advisories may not be heard, audits find it. */
function watchStreams({ nc }: Link, byStream: ReadonlyMap<string, StreamFollower>): void {
  nc.subscribe("$JS.EVENT.ADVISORY.STREAM.*.*", {
    callback: (error, message) => {
      const [, , , , action, stream] = error ? [] : message.subject.split(".");
      const follower = byStream.get(stream ?? "");
      if (action === "LEADER_ELECTED") follower?.elected();
      // Twice: an inspection under way may have been answered before this happened.
      if (follower) void follower.inspect().then(() => follower.inspect());
    },
  });
}
