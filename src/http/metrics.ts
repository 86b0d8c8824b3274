import type { BrokerStatus } from "../broker/broker.ts";
import type { Histogram, Histograms } from "../core/histogram.ts";
import {
  BAD_SIGNALS,
  CALLOUT_KINDS,
  EMULATED,
  END_CODES,
  FAILURES,
  PRESENCE_FAILURES,
  PUBLISH_FAILURES,
  RECOVERIES,
  REJECTIONS,
  SPAN_LOSSES,
} from "../core/labels.ts";
import type { Stats } from "../core/stats.ts";
import type { OverloadState } from "../gateway/instance/overload.ts";
import { STREAM_TRANSPORTS } from "../protocol/centrifuge/stream-codecs.ts";
import { PUSHER_FAILURES } from "../pusher/failures.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type Metrics, MetricsPage } from "./metrics-page.ts";

/** Where the numbers are read when somebody asks for them. */
export interface MetricsSources {
  readonly stats: Stats;
  connections(): number;
  /** Users with a connection. */
  users(): number;
  /** Names of the namespaces, and of the HTTP endpoints that answer callouts. */
  namespaces(): Iterable<string>;
  endpoints(): Iterable<string>;
  /** Most connections the instance takes. */
  readonly connectionsLimit: number;
  overload(): { readonly state: OverloadState; readonly delayMs: number };
  residentBytes(): number;
  /** Above it the instance sheds load; 0: no limit. */
  memoryLimitBytes(): number;
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
    | "connects"
    | "disconnects"
    | "commandErrors"
    | "publishes"
    | "publishErrors"
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

/** Encodings of WebSockets. */
const ENCODINGS = ["centrifuge-json", "centrifuge-protobuf", "pusher"];

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
  addLabelledCounters(page, sources);
  addGauges(page, sources);
  addLabelledGauges(page, sources);
  addHistograms(page, sources.stats);
  addProcess(page, sources.runtime);
  page.constant("build_info", "What runs, always 1.", sources.build);
  return page;
}

/** Questions to services that every system has seen sooner or later; further codes appear when they happen. */
const OUTCOMES = ["ok", "error", "timeout", "unreachable"];

/** Every pair of two values. */
const pairs = (firsts: Iterable<string>, seconds: readonly string[]): string[] =>
  [...firsts].flatMap((first) => seconds.map((second) => `${first} ${second}`));

const fixed = (known: readonly string[]) => () => known;

type Known = () => Iterable<string>;

function addLabelledCounters(page: MetricsPage, sources: MetricsSources): void {
  const by: Add = (name, help, labels, counts, known) =>
    page.counters(`${name}_total`, help, labels, { read: () => counts, known });
  addCountersOfClients(by, sources.stats);
  addCountersBehind(by, sources);
}

type Add = (
  name: string,
  help: string,
  labels: readonly string[],
  counts: ReadonlyMap<string, number>,
  known: Known,
) => void;

function addCountersOfClients(by: Add, stats: Stats): void {
  const transports = [...pairs(["websocket"], ENCODINGS), ...pairs(STREAM_TRANSPORTS, ["centrifuge-json"])];
  const failures = [...FAILURES, ...PUSHER_FAILURES];
  by("connects", "Connections identified.", ["transport", "protocol"], stats.connectsBy, fixed(transports));
  by("command_errors", "Commands answered with an error.", ["code"], stats.errorCodes, fixed(failures));
  by("disconnects", "Connections ended.", ["code"], stats.closeCodes, fixed(END_CODES));
  by("rejected", "Connections refused or cut off.", ["reason"], stats.rejected, fixed(REJECTIONS));
  by("recoveries", "Recoveries of clients.", ["outcome"], stats.recoveries, fixed(RECOVERIES));
  const streams = fixed(STREAM_TRANSPORTS);
  by("stream_connects", "Connections opened without WebSocket.", ["transport"], stats.streamsBegun, streams);
  by(
    "emulation_requests",
    "Requests with commands of such connections.",
    ["outcome"],
    stats.emulated,
    fixed(EMULATED),
  );
}

function addCountersBehind(by: Add, { stats, namespaces, endpoints }: MetricsSources): void {
  by("publishes", "Publishes through this instance.", ["namespace"], stats.publishesBy, namespaces);
  const failures = () => pairs(namespaces(), PUBLISH_FAILURES);
  by("publish_errors", "Publishes that failed.", ["namespace", "code"], stats.publishErrorsBy, failures);
  const questions = () => pairs(pairs(["nats", ...endpoints()], CALLOUT_KINDS), OUTCOMES);
  by("callouts", "Questions to services.", ["to", "kind", "code"], stats.callouts, questions);
  const presence = fixed(PRESENCE_FAILURES);
  by(
    "presence_failures",
    "Calls of the presence store that failed.",
    ["reason"],
    stats.presenceFailures,
    presence,
  );
  by(
    "bad_signals",
    "Control signals that were not carried out.",
    ["reason"],
    stats.badSignals,
    fixed(BAD_SIGNALS),
  );
  by("spans_dropped", "Spans of traces that were lost.", ["reason"], stats.spansDropped, fixed(SPAN_LOSSES));
}

function addHistograms(page: MetricsPage, stats: Stats): void {
  const one = (name: string, help: string, own: Histogram) => page.histogram(`${name}_seconds`, help, own);
  one("presence_latency", "Latency of calls to the presence store.", stats.presenceLatency);
  one("event_loop_lateness", "How late the event loop was, ten times a second.", stats.loopDelay);
  one("gc_duration", "Collections of garbage.", stats.collections);
  const by = (name: string, help: string, labels: readonly [string, string?], all: Histograms) =>
    page.histograms(`${name}_latency_seconds`, help, labels, all);
  by("command", "Commands of clients until their answer.", ["method", "code"], stats.commandLatency);
  by("subscribe", "Subscribes until their answer.", ["namespace", "code"], stats.subscribeLatency);
  by("publish", "Time until the broker had stored a message.", ["namespace", "code"], stats.publishLatency);
  by("delivery", "Age of stored messages handed to sockets.", ["namespace"], stats.deliveryLatency);
  by("callout", "Questions to services.", ["kind", "code"], stats.calloutLatency);
  by("api", "Calls of the server API.", ["method", "code"], stats.apiLatency);
  by("webhook", "Requests to webhooks.", ["webhook", "code"], stats.webhookLatency);
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
  page.gauge("users", "Users with a connection.", sources.users);
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
  page.gauge("memory_limit_bytes", "Resident memory from which on load is shed, 0 without a limit.", () =>
    sources.memoryLimitBytes(),
  );
  page.gauge("resident_memory_bytes", "Resident memory of the process.", sources.residentBytes);
}

function addLabelledGauges(page: MetricsPage, { stats, overload, namespaces }: MetricsSources): void {
  page.gauges(
    "events_pending",
    "Events that durable consumers have not acknowledged.",
    "consumer",
    () => stats.eventBacklog,
  );
  page.gauges("stream_bytes", "Bytes that streams of channels hold.", "stream", () =>
    [...stats.streamRoom].map(([stream, { bytes }]): [string, number] => [stream, bytes]),
  );
  page.gauges("stream_bytes_limit", "Bytes that streams with a limit may hold.", "stream", () =>
    [...stats.streamRoom]
      .filter(([, { limit }]) => limit > 0)
      .map(([stream, { limit }]): [string, number] => [stream, limit]),
  );
  const named = (counts: ReadonlyMap<string, number>) => () =>
    new Map([...[...namespaces()].map((name): [string, number] => [name, 0]), ...counts]);
  page.gauges("channels", "Channels that are live here.", "namespace", named(stats.channels));
  page.gauges("subscriptions", "Subscriptions of clients.", "namespace", named(stats.subscriptions));
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
