import type { HistoryRules, Namespaces } from "../../../core/namespace.ts";
import { type Part, partsOf } from "../../../core/partition.ts";
import type { Subjects } from "../../../core/subject.ts";
import type { Placement, StreamConfig } from "../../../nats/client.ts";

/** The parts of a stream's configuration that are ours; others may stay as an operator set them. */
export type WantedStream = Pick<
  StreamConfig,
  | "name"
  | "subjects"
  | "storage"
  | "retention"
  | "discard"
  | "max_age"
  | "max_msgs_per_subject"
  | "duplicate_window"
  | "num_replicas"
  | "allow_direct"
> &
  Partial<Pick<StreamConfig, "republish" | "placement" | "max_msgs">> & {
    /** Absent: what the server has room for, see `withRoom`; what is there already stays. */
    readonly max_bytes?: number | undefined;
    /** Publishers may give a message an age of its own, header `Nats-TTL` (nats-server 2.11). */
    readonly allow_msg_ttl?: true;
  };

/** Longest time a publish's id is remembered, ms: every id costs the server memory. */
const MAX_DUPLICATE_WINDOW_MS = 120_000;
const EVENTS_AGE_MS = 24 * 3_600_000;

/** What of a namespace with history decides how its streams are made. */
export interface KeptNamespace {
  readonly name: string;
  readonly history: HistoryRules;
  /** Region its streams live in. Unset: wherever NATS puts them. */
  readonly home?: string | undefined;
}

/**
 * A stream of a namespace that keeps history: its only one, or a part of it.
 * @param messageTtl whether the server knows ages of single messages
 */
export function channelStream(
  subjects: Subjects,
  { name: namespace, history, home }: KeptNamespace,
  messageTtl: boolean,
  part?: Part,
): WantedStream {
  return {
    name: subjects.stream(namespace, part),
    subjects: [subjects.messages(namespace, part)],
    // Memory streams that republish get slower with every message they hold (nats-server 2.9).
    storage: "file" as StreamConfig["storage"],
    retention: "limits" as StreamConfig["retention"],
    discard: "old" as StreamConfig["discard"],
    max_age: nanos(history.ageMs),
    max_msgs_per_subject: history.size,
    // Of the parts of a namespace each has its share.
    ...(history.totalBytes && { max_bytes: Math.ceil(history.totalBytes / (part?.of ?? 1)) }),
    duplicate_window: nanos(Math.min(MAX_DUPLICATE_WINDOW_MS, history.ageMs)),
    num_replicas: history.replicas,
    allow_direct: true,
    republish: { src: subjects.messages(namespace, part), dest: subjects.lives(namespace) },
    ...(messageTtl && { allow_msg_ttl: true as const }),
    ...placed(home),
  };
}

/** NATS clusters are called as the regions they are in. */
export function placed(home: string | undefined): Partial<Pick<StreamConfig, "placement">> {
  // Without tags: nats-server 2.15 takes an empty list for another place than none, and changes nothing while it moves.
  return home === undefined ? {} : { placement: { cluster: home } as Placement };
}

/** Every stream an instance needs; that of events has as many copies as the safest namespace. */
export function wantedStreams(
  subjects: Subjects,
  namespaces: Namespaces,
  messageTtl: boolean,
  events: Omit<EventStorage, "replicas"> = {},
): WantedStream[] {
  const kept = [...namespaces.values()].flatMap((rules) =>
    rules.history
      ? partsOf(rules.partitions).map((part) => ({ ...rules, history: rules.history!, part }))
      : [],
  );
  return [
    ...kept.map((one) => channelStream(subjects, one, messageTtl, one.part)),
    eventStream(subjects, { ...events, replicas: mostReplicas(namespaces) }),
    entryStream(subjects, { home: events.home, replicas: mostReplicas(namespaces) }),
  ];
}

/** Copies the safest namespace has. */
export function mostReplicas(namespaces: Namespaces): number {
  return Math.max(1, ...[...namespaces.values()].map(({ history }) => history?.replicas ?? 1));
}

/** Where, and in how much room, events are kept. */
export interface EventStorage {
  readonly replicas: number;
  /** Region. Unset: wherever NATS puts them. */
  readonly home?: string | undefined;
  /** The oldest go when they take more. Absent or 0: what the server has room for, see `withRoom`. */
  readonly maxBytes?: number | undefined;
}

/** The stream of events. */
export function eventStream(subjects: Subjects, { replicas, home, maxBytes }: EventStorage): WantedStream {
  return {
    name: subjects.eventStream(),
    subjects: [subjects.events()],
    storage: "file" as StreamConfig["storage"],
    retention: "limits" as StreamConfig["retention"],
    discard: "old" as StreamConfig["discard"],
    max_age: nanos(EVENTS_AGE_MS),
    max_msgs_per_subject: -1,
    ...(maxBytes && { max_bytes: maxBytes }),
    duplicate_window: nanos(MAX_DUPLICATE_WINDOW_MS),
    num_replicas: replicas,
    allow_direct: true,
    ...placed(home),
  };
}

/** Entries that may be kept, and their age and bytes. */
export const MAX_ENTRIES = 10_000;
const ENTRIES_AGE_MS = 91 * 24 * 3_600_000;
const ENTRIES_BYTES = 32 * 1024 ** 2;

/** The stream of what every instance must know: the last of each key, and no more when it is full. */
export function entryStream(subjects: Subjects, storage: Omit<EventStorage, "maxBytes">): WantedStream {
  return {
    ...eventStream(subjects, { ...storage, maxBytes: ENTRIES_BYTES }),
    name: subjects.entryStream(),
    subjects: [subjects.entries()],
    discard: "new" as StreamConfig["discard"],
    max_age: nanos(ENTRIES_AGE_MS),
    max_msgs_per_subject: 1,
    // One beyond those of keys, so that a key can be put anew when it is full.
    max_msgs: MAX_ENTRIES + 1,
    republish: { src: subjects.entries(), dest: subjects.liveEntries() },
  };
}

/** The stream of the outbox: what is done is purged, what is never done goes by age or number. */
export function outboxStream(
  subjects: Subjects,
  { maxAgeMs, maxItems, ...storage }: EventStorage & { maxAgeMs: number; maxItems: number },
): WantedStream {
  return {
    ...eventStream(subjects, storage),
    name: subjects.outboxStream(),
    subjects: [subjects.outboxes()],
    max_age: nanos(maxAgeMs),
    max_msgs_per_subject: maxItems,
    duplicate_window: nanos(Math.min(MAX_DUPLICATE_WINDOW_MS, maxAgeMs)),
  };
}

function nanos(ms: number): number {
  return ms * 1_000_000;
}
