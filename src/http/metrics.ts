import type { BrokerStatus } from "../broker/broker.ts";
import type { Histogram } from "../core/histogram.ts";
import type { Stats } from "../core/stats.ts";
import type { OverloadState } from "../gateway/instance/overload.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type Metrics, MetricsPage } from "./metrics-page.ts";

/** Where the numbers are read when somebody asks for them. */
export interface MetricsSources {
  readonly stats: Stats;
  connections(): number;
  /** Most connections the instance takes. */
  readonly connectionsLimit: number;
  overload(): { readonly state: OverloadState; readonly delayMs: number };
  residentBytes(): number;
  readonly runtime: Pick<
    Runtime,
    "cpuSeconds" | "heapBytes" | "startedSeconds" | "openDescriptors" | "descriptorLimit"
  >;
  /** Unix time, ms, when the certificate for clients expires; 0: there is none. */
  certificateExpiresAtMs(): number;
  broker(): BrokerStatus;
  presence(): { readonly state: "ok" | "degraded" };
  /** Labels of `trunkline_build_info`. */
  readonly build: {
    readonly version: string;
    readonly runtime: string;
    readonly region: string;
    readonly instance: string;
  };
}

type NumericField = { [F in keyof Stats]: Stats[F] extends number ? F : never }[keyof Stats];

/** Every counter of {@link Stats}: name after the prefix, and help. The type makes sure that none is forgotten. */
const COUNTERS = {
  connects: ["connects_total", "Connections opened."],
  messagesIn: ["messages_received_total", "Commands and messages read from clients."],
  publicationsOut: ["publications_total", "Publications handed to a fan-out, one for all subscribers."],
  deliveries: ["deliveries_total", "Publications times local subscribers."],
  conflated: ["conflated_total", "Publications for which a newer one of the same send window went."],
  lowPriorityDropped: ["low_priority_dropped_total", "Publications of low priority left out under overload."],
  bytesIn: ["received_bytes_total", "Bytes read from clients, without framing."],
  bytesOut: ["sent_bytes_total", "Bytes written to clients, without framing."],
  readErrors: ["read_errors_total", "Frames that could not be understood."],
  writeErrors: ["write_errors_total", "Frames that could not be written."],
  slowConsumers: ["slow_consumers_total", "Connections closed because they read too slowly."],
  deadPeers: ["dead_peers_total", "Connections closed because nothing was heard of them."],
  pingsSent: ["pings_sent_total", "Pings sent to clients."],
  publishes: ["publishes_total", "Publishes through this instance."],
  publishErrors: ["publish_errors_total", "Publishes that failed."],
  publishDuplicates: ["publish_duplicates_total", "Publishes stored before under the same id."],
  brokerReconnects: ["broker_reconnects_total", "Times the connection to the broker came back."],
  brokerLive: ["broker_messages_total", "Live messages received from the broker."],
  brokerDuplicates: ["broker_duplicates_total", "Live messages received twice, and dropped."],
  brokerReorders: ["broker_reorders_total", "Live messages received out of order, and put right."],
  gapFills: ["gap_fills_total", "Holes in the live feed filled from the stream."],
  gapFilledMessages: ["gap_filled_messages_total", "Messages read to fill holes."],
  resyncs: ["resyncs_total", "Namespaces read again after a lost connection."],
  originReads: ["origin_reads_total", "Reads that only a stream's home region could answer."],
  streamReads: ["stream_reads_total", "Reads of stored messages."],
  storageRefused: ["storage_refused_total", "Messages that JetStream had no room for."],
  readsShared: ["reads_shared_total", "Reads of history that shared the answer of another one."],
  memberListReads: [
    "member_list_reads_total",
    "Lists of members read, one for all who asked at the same time.",
  ],
  headChecks: ["tail_checks_total", "Checks whether a quiet channel lost its last message."],
  epochChanges: ["epoch_changes_total", "Streams found lost or made anew."],
  streamCuts: [
    "stream_cuts_total",
    "Times a stream's store was found to have gone back, acknowledged messages lost.",
  ],
  framesRefused: ["frames_refused_total", "Frames not made because a value does not fit its field."],
  bodiesRejected: ["bodies_rejected_total", "Messages whose body the namespace does not accept."],
  eventsEmitted: ["events_emitted_total", "Events recorded for services."],
  eventsDropped: ["events_dropped_total", "Events lost because their queue was full."],
  outboxDropped: ["webhook_events_dropped_total", "Events for webhooks lost because their queue was full."],
  webhooksDelivered: ["webhook_events_delivered_total", "Events that webhooks have taken."],
  webhooksGivenUp: ["webhook_events_given_up_total", "Events too old before a webhook took them."],
  webhooksSetAside: ["webhook_events_set_aside_total", "Events that a webhook refused while it took others."],
  webhooksRetried: ["webhook_retries_total", "Requests to webhooks that failed, and were sent again."],
  ringHits: ["ring_hits_total", "Joins and recoveries served from memory."],
  ringMisses: ["ring_misses_total", "Joins and recoveries that had to read the stream."],
  presenceCommands: ["presence_commands_total", "Commands sent to the presence store."],
  presenceErrors: ["presence_errors_total", "Calls of the presence store that failed."],
  presenceTimeouts: ["presence_timeouts_total", "Calls of the presence store not answered in time."],
  presenceDegraded: ["presence_degradations_total", "Times the presence store was given up for a while."],
  presenceBadRecords: ["presence_bad_records_total", "Members in Redis that no instance wrote: left out."],
  presenceSweeps: ["presence_sweeps_total", "Dead instances swept by this one."],
  spansSent: ["spans_sent_total", "Spans of traces that were sent."],
  drains: ["drains_total", "Drains begun."],
} as const satisfies Record<
  Exclude<
    NumericField,
    | "commandErrors"
    | "disconnects"
    | "publishBacklog"
    | "webhookOldestMs"
    | "homesAway"
    | "mirrorLag"
    | "readBytesUnderWay"
    | "readsWaiting"
    | "answerBytesUnread"
    | "storageRefusedAtMs"
    | "storageFull"
    | "calloutsUnderWay"
  >,
  readonly [string, string]
>;

const OVERLOAD_STATES: readonly OverloadState[] = ["ok", "shedding", "refusing"];

/**
 * Makes the metrics of one instance. Nothing is counted twice: the numbers are plain fields elsewhere, and are copied
 * when the page is asked for.
 */
export function createMetrics(sources: MetricsSources): Metrics {
  const page = new MetricsPage();
  const { stats } = sources;
  for (const [field, [name, help]] of Object.entries(COUNTERS)) {
    page.counter(name, help, () => stats[field as keyof typeof COUNTERS]);
  }
  addLabelledCounters(page, stats);
  addGauges(page, sources);
  addLabelledGauges(page, sources);
  addHistograms(page, sources.stats);
  addProcess(page, sources.runtime);
  page.constant("build_info", "What runs, always 1.", sources.build);
  return page;
}

function addLabelledCounters(page: MetricsPage, stats: Stats): void {
  page.counters("command_errors_total", "Commands answered with an error.", "code", () => stats.errorCodes);
  page.counters("disconnects_total", "Connections ended.", "code", () => stats.closeCodes);
  page.counters(
    "rejected_total",
    "Connections refused or cut off, by reason.",
    "reason",
    () => stats.rejected,
  );
  page.counters(
    "callouts_total",
    "Questions to services, by service, kind and outcome.",
    ["to", "kind", "code"],
    () => stats.callouts,
  );
  page.counters(
    "presence_failures_total",
    "Calls of the presence store that failed, by reason.",
    "reason",
    () => stats.presenceFailures,
  );
  page.counters(
    "stream_connects_total",
    "Connections opened without WebSocket.",
    "transport",
    () => stats.streamsBegun,
  );
  page.counters(
    "emulation_requests_total",
    "Requests with commands of such connections, by outcome.",
    "outcome",
    () => stats.emulated,
  );
  page.counters(
    "spans_dropped_total",
    "Spans of traces that were lost, by reason.",
    "reason",
    () => stats.spansDropped,
  );
  page.counters("recoveries_total", "Recoveries of clients, by outcome.", "outcome", () => stats.recoveries);
  page.counters(
    "bad_signals_total",
    "Control signals that were not carried out, by reason.",
    "reason",
    () => stats.badSignals,
  );
}

function addHistograms(page: MetricsPage, stats: Stats): void {
  const one = (name: string, help: string, own: Histogram) => {
    const map = new Map([["", own]]);
    page.histograms(`${name}_seconds`, help, () => map);
  };
  one("presence_latency", "Latency of calls to the presence store.", stats.presenceLatency);
  one("publish_latency", "Time until the broker had stored a message.", stats.publishLatency);
  one("delivery_latency", "Age of stored messages when they were handed to sockets.", stats.deliveryLatency);
  one("webhook_latency", "Latency of requests to webhooks.", stats.webhookLatency);
  one("event_loop_lateness", "How late the event loop was, ten times a second.", stats.loopDelay);
  one("gc_duration", "Collections of garbage.", stats.collections);
  page.histograms(
    "command_latency_seconds",
    "Commands of clients until their answer.",
    () => stats.commandLatency.byLabel,
    "method",
  );
  page.histograms(
    "callout_latency_seconds",
    "Questions to services.",
    () => stats.calloutLatency.byLabel,
    "kind",
  );
  page.histograms(
    "api_latency_seconds",
    "Calls of the server API.",
    () => stats.apiLatency.byLabel,
    "method",
  );
}

function addProcess(page: MetricsPage, runtime: MetricsSources["runtime"]): void {
  page.counter("process_cpu_seconds_total", "Processor time of the process.", runtime.cpuSeconds);
  page.gauge(
    "process_start_time_seconds",
    "When the process began, Unix seconds.",
    () => runtime.startedSeconds,
  );
  page.gauge("process_open_fds", "Descriptors open now.", () => runtime.openDescriptors() ?? Number.NaN);
  page.gauge(
    "process_max_fds",
    "Descriptors the process may open.",
    () => runtime.descriptorLimit() ?? Number.NaN,
  );
  page.gauge("heap_bytes", "JavaScript heap in use.", runtime.heapBytes);
}

function addGauges(page: MetricsPage, sources: MetricsSources): void {
  const { stats } = sources;
  page.gauge("connections", "Open connections.", sources.connections);
  page.gauge("connections_limit", "Connections this instance takes at most.", () => sources.connectionsLimit);
  page.gauge("homes_away", "Home regions that do not answer.", () => stats.homesAway);
  page.gauge(
    "mirror_lag_messages",
    "Messages that copies here are behind their homes, at most.",
    () => stats.mirrorLag,
  );
  page.gauge(
    "storage_full_streams",
    "Streams in which nothing is stored for lack of room.",
    () => stats.storageFull,
  );
  page.gauge("read_bytes", "Bytes of history asked for now, at most.", () => stats.readBytesUnderWay);
  page.gauge("reads_waiting", "Reads of history that wait for room.", () => stats.readsWaiting);
  page.gauge(
    "unread_answer_bytes",
    "Bytes of long answers that clients may not have read yet.",
    () => stats.answerBytesUnread,
  );
  page.gauge("publish_backlog", "Publishes waiting for the broker.", () => stats.publishBacklog);
  page.gauge(
    "webhook_lag_seconds",
    "Age of the oldest event a webhook has not taken, on the instance that delivers.",
    () => (stats.webhookOldestMs > 0 ? (Date.now() - stats.webhookOldestMs) / 1000 : 0),
  );
  page.gauge("broker_connected", "1 while the broker is connected.", () =>
    sources.broker().state === "connected" ? 1 : 0,
  );
  page.gauge(
    "callouts_under_way",
    "Questions to services that wait for an answer.",
    () => stats.calloutsUnderWay,
  );
  page.gauge("presence_degraded", "1 while presence is only this instance's own.", () =>
    sources.presence().state === "degraded" ? 1 : 0,
  );
  page.gauge(
    "event_loop_delay_seconds",
    "Longest delay of the event loop within the last second.",
    () => sources.overload().delayMs / 1000,
  );
  page.gauge(
    "certificate_expires_seconds",
    "Unix time when the certificate for clients expires, 0 without one.",
    () => sources.certificateExpiresAtMs() / 1000,
  );
  page.gauge("resident_memory_bytes", "Resident memory of the process.", sources.residentBytes);
}

function addLabelledGauges(page: MetricsPage, { stats, overload }: MetricsSources): void {
  page.gauges(
    "events_pending",
    "Events that durable consumers have not acknowledged.",
    "consumer",
    () => stats.eventBacklog,
  );
  page.gauges(
    "stream_connections",
    "Open connections without WebSocket.",
    "transport",
    () => stats.streamsOpen,
  );
  page.gauges("overload_state", "1 for the state the instance is in.", "state", () => {
    const current = overload().state;
    return OVERLOAD_STATES.map((state): [string, number] => [state, state === current ? 1 : 0]);
  });
}
