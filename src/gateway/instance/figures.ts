import { z } from "zod";
import type { BrokerStatus } from "../../broker/broker.ts";
import type { Histogram } from "../../core/histogram.ts";
import type { Stats } from "../../core/stats.ts";
import type { Presence } from "../../presence/presence.ts";
import { records } from "../../shapes/records.ts";
import type { Hub } from "../session/hub.ts";

/** Counters since the start that an instance tells of itself, by their names in {@link Stats}. */
const COUNTERS = [
  ...([
    "connects",
    "disconnects",
    "messagesIn",
    "publicationsOut",
    "deliveries",
    "bytesIn",
    "bytesOut",
  ] as const),
  ...([
    "publishes",
    "publishErrors",
    "slowConsumers",
    "deadPeers",
    "conflated",
    "lowPriorityDropped",
  ] as const),
  ...(["brokerReconnects", "resyncs", "epochChanges", "streamCuts", "storageRefused"] as const),
  ...([
    "eventsDropped",
    "outboxDropped",
    "webhooksDelivered",
    "webhooksSetAside",
    "webhooksRetried",
  ] as const),
  ...(["webhooksGivenUp", "presenceErrors"] as const),
] as const;

/** Values of now. */
const GAUGES = [
  ...(["publishBacklog", "homesAway", "mirrorLag", "storageFull", "readsWaiting"] as const),
  ...(["calloutsUnderWay", "webhookOldestMs"] as const),
] as const;

/** Labels in one answer at most: all are words of ours, and there are far fewer. */
const MOST_LABELS = 200;

const count = z.number().min(0);
const byLabel = records(count, z.string().max(128)).refine(
  (counts) => Object.keys(counts).length <= MOST_LABELS,
  "too many labels",
);
/** Observations by bucket, each without those below it; see {@link Histogram.bounds}. */
const buckets = z.array(count).max(64);

const vitals = z.object({
  connectionsLimit: count,
  draining: z.boolean(),
  overload: z.enum(["ok", "shedding", "refusing"]),
  /** Why it should get no new clients, in words. */
  unready: z.array(z.string().max(200)).max(16),
  /** Longest delay of the event loop within the last second. */
  loopDelayMs: count,
  residentBytes: count,
  /** When its broker entered this state, Unix ms. */
  broker: z.object({
    state: z.enum(["connecting", "connected", "disconnected", "closed"]),
    sinceMs: count,
    server: z.string().max(64).optional(),
  }),
  presence: z.object({ state: z.enum(["ok", "degraded"]), sinceMs: count }),
});

/** What only whoever runs the process knows of it. */
export type Vitals = Pick<
  z.infer<typeof vitals>,
  "connectionsLimit" | "draining" | "overload" | "unready" | "loopDelayMs" | "residentBytes"
>;

/** What other instances may answer. */
export const figuresShape = vitals.extend({
  instance: z.string().max(128),
  region: z.string().max(64),
  version: z.string().max(64),
  uptimeMs: count,
  connections: count,
  users: count,
  /** Channels with subscribers here. */
  channels: count,
  counters: records(count, z.enum(COUNTERS)),
  gauges: records(count, z.enum(GAUGES)),
  latency: z.object({ delivery: buckets, publish: buckets, presence: buckets, webhook: buckets }),
  /** Commands answered with an error and connections ended, by code; connections and requests refused, by reason. */
  errors: byLabel,
  closes: byLabel,
  refused: byLabel,
});

/** How one instance is, and what it has done since it began. */
export type Figures = z.infer<typeof figuresShape>;

/** What is asked of an instance. */
export interface FiguresParts {
  readonly instance: string;
  readonly region: string;
  readonly version: string;
  readonly stats: Stats;
  readonly hub: Pick<Hub, "sessions" | "userCount" | "channels">;
  readonly broker: { status(): BrokerStatus };
  readonly presence: Pick<Presence, "status">;
  readonly vitals: () => Vitals;
  /** When it was built, ms of the monotonic clock. */
  readonly startedAt: number;
}

/** This instance's own. */
export function figuresOf(parts: FiguresParts): Figures {
  const { stats, hub, broker, presence, version } = parts;
  const { state, sinceMs, server } = broker.status();
  return {
    ...{ instance: parts.instance, region: parts.region, version },
    ...parts.vitals(),
    broker: { state, sinceMs, ...(server && { server: server.version }) },
    presence: presence.status(),
    uptimeMs: Math.round(performance.now() - parts.startedAt),
    ...{ connections: hub.sessions.size, users: hub.userCount, channels: hub.channels.size },
    counters: picked(stats, COUNTERS),
    gauges: picked(stats, GAUGES),
    latency: {
      delivery: plain(stats.deliveryLatency.total()),
      publish: plain(stats.publishLatency.total()),
      presence: plain(stats.presenceLatency),
      webhook: plain(stats.webhookLatency.total()),
    },
    errors: Object.fromEntries(stats.errorCodes),
    closes: Object.fromEntries(stats.closeCodes),
    refused: Object.fromEntries(stats.rejected),
  };
}

function picked<Name extends (typeof COUNTERS | typeof GAUGES)[number]>(
  stats: Stats,
  names: readonly Name[],
): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, stats[name]])) as Record<Name, number>;
}

const plain = ({ counts }: Histogram): number[] => [...counts];
