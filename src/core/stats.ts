import { Histogram, Histograms } from "./histogram.ts";
import { codeLabel, endLabel, type Rejection } from "./labels.ts";

/**
 * The instance's counters as plain numbers: the hot path adds, the metrics page reads. One object per instance,
 * passed in; units are in the names.
 */
export class Stats {
  /** Connections identified, by transport and encoding with a space between: `websocket centrifuge-json`. */
  readonly connectsBy = new Map<string, number>();
  /** Commands and client messages read from sockets. */
  messagesIn = 0;
  /** Publications handed to a fan-out, one for each channel message (not for each subscriber). */
  publicationsOut = 0;
  /** Deliveries: publications times local subscribers. */
  deliveries = 0;
  /** Publications for which a newer one went instead, at the end of a send window. */
  conflated = 0;
  /** Publications of low priority left out under overload. */
  lowPriorityDropped = 0;
  bytesIn = 0;
  bytesOut = 0;
  readErrors = 0;
  writeErrors = 0;
  slowConsumers = 0;
  deadPeers = 0;
  /** Refused or closed, by reason. */
  readonly rejected = new Map<Rejection, number>();
  /** Channels that are live here, and subscriptions, by namespace. */
  readonly channels = new Map<string, number>();
  readonly subscriptions = new Map<string, number>();
  /** Connections that are no WebSockets, by transport: open now, and begun so far. */
  readonly streamsOpen = new Map<string, number>();
  readonly streamsBegun = new Map<string, number>();
  /** Requests with commands of such connections, by outcome: `delivered`, `unknown`, `busy`, `limited`. */
  readonly emulated = new Map<string, number>();
  /** Commands answered with an error, by its code; `application` for those of services, `internal` for what is our fault. */
  readonly errorCodes = new Map<string, number>();
  /** Connections that ended, by the code: those of the table, `1006` without a close frame, `other`. */
  readonly closeCodes = new Map<string, number>();
  pingsSent = 0;

  /** By namespace; those that failed by namespace and code, with a space between. */
  readonly publishesBy = new Map<string, number>();
  readonly publishErrorsBy = new Map<string, number>();
  publishDuplicates = 0;
  /** Messages waiting for the broker's acknowledgement now. */
  publishBacklog = 0;
  brokerReconnects = 0;
  brokerLive = 0;
  brokerDuplicates = 0;
  brokerReorders = 0;
  gapFills = 0;
  gapFilledMessages = 0;
  resyncs = 0;
  streamReads = 0;
  /** Reads of history answered with what somebody else had asked for at the same time. */
  readsShared = 0;
  /** Messages that JetStream had no room for, when that was last, Unix ms, and streams in which nothing is stored now. */
  storageRefused = 0;
  storageRefusedAtMs = 0;
  storageFull = 0;
  /** Lists of members read from presence, and bytes of long answers that clients may not have read yet. */
  memberListReads = 0;
  answerBytesUnread = 0;
  /** Bytes of history that are asked for now, and reads that wait for room among them. */
  readBytesUnderWay = 0;
  readsWaiting = 0;
  /** Reads that a region's own copy could not answer, and the stream's home was asked. */
  originReads = 0;
  /** Home regions that do not answer now. */
  homesAway = 0;
  /** Messages that the copies here are behind their homes, at most. */
  mirrorLag = 0;
  headChecks = 0;
  epochChanges = 0;
  /** Times a stream's store was found to have gone back, so that what it had acknowledged was lost. */
  streamCuts = 0;
  bodiesRejected = 0;
  /** Frames that were not made because something was to be written into a field it does not fit. */
  framesRefused = 0;
  eventsEmitted = 0;
  eventsDropped = 0;
  /** Events that durable consumers of the stream have not acknowledged, by consumer; empty where that is not known. */
  readonly eventBacklog = new Map<string, number>();
  /** What each stream of channels held when it was last inspected, and may hold (0: no limit); none that does not answer. */
  readonly streamRoom = new Map<string, { readonly bytes: number; readonly limit: number }>();

  /** Events for webhooks that were lost because their queue was full. */
  outboxDropped = 0;
  /** Events of webhooks that an endpoint has taken, and that were too old before one did. */
  webhooksDelivered = 0;
  webhooksGivenUp = 0;
  /** Events that an endpoint refused while it took others: they are kept aside. */
  webhooksSetAside = 0;
  /** Requests to webhooks that failed and were sent again. */
  webhooksRetried = 0;
  /** When the oldest event that no webhook has taken happened, Unix ms; 0: none, or another instance delivers. */
  webhookOldestMs = 0;

  /** Recoveries by outcome: `messages`, `empty`, `failed`. */
  readonly recoveries = new Map<string, number>();
  /** Control signals that were not carried out, by reason. */
  readonly badSignals = new Map<string, number>();
  ringHits = 0;
  ringMisses = 0;

  presenceCommands = 0;
  presenceErrors = 0;
  /** Failed calls by what they failed of: `timeout`, `refused`, `broken`, `answer`, `http_429`. */
  readonly presenceFailures = new Map<string, number>();
  presenceTimeouts = 0;
  /** Times the driver became degraded. */
  presenceDegraded = 0;
  presenceSweeps = 0;
  /** Members read from Redis that no instance wrote: left out. */
  presenceBadRecords = 0;
  /** Calls of the presence store. */
  readonly presenceLatency = new Histogram();
  /** Commands of clients until their answer, by method and code; `ok` for those that succeeded, here and below. */
  readonly commandLatency = new Histograms();
  /** Those that subscribe, by namespace and code. */
  readonly subscribeLatency = new Histograms();
  /** Calls of the server API, by method and code. */
  readonly apiLatency = new Histograms();
  /** Messages until the broker had stored them, or had not, by namespace and code. */
  readonly publishLatency = new Histograms();
  /** Stored messages until they were handed to the sockets here, by namespace: by the clocks of broker and machine. */
  readonly deliveryLatency = new Histograms();
  /** Requests to webhooks, by webhook and outcome. */
  readonly webhookLatency = new Histograms();
  /** How late the event loop was, ten times a second. */
  readonly loopDelay = new Histogram();
  /** Collections of garbage. */
  readonly collections = new Histogram();

  /** Questions to services, by service, kind and code, with spaces between: `nats connect ok`. */
  readonly callouts = new Map<string, number>();
  /** Questions that wait for an answer now. */
  calloutsUnderWay = 0;
  /** By kind and code. */
  readonly calloutLatency = new Histograms();

  /** Spans of traces that were sent; and not, by reason: `queue` (too many waited), `export` (nobody took them). */
  spansSent = 0;
  readonly spansDropped = new Map<string, number>();

  drains = 0;

  get connects(): number {
    return sum(this.connectsBy);
  }

  get disconnects(): number {
    return sum(this.closeCodes);
  }

  get commandErrors(): number {
    return sum(this.errorCodes);
  }

  get publishes(): number {
    return sum(this.publishesBy);
  }

  get publishErrors(): number {
    return sum(this.publishErrorsBy);
  }

  /** A message was stored, or taken by a namespace that stores none. @param ms since it was to be published */
  published(
    namespace: string,
    { offset, duplicate }: { offset: number; duplicate: boolean },
    ms: number,
  ): void {
    Stats.bump(this.publishesBy, namespace);
    if (duplicate) this.publishDuplicates++;
    if (offset > 0) this.publishLatency.observeMs(ms, namespace, "ok");
  }

  /** A message was not published. @param code of the error; absent: it was a fault of ours */
  publishFailed(namespace: string, code: number | undefined, ms: number): void {
    const label = code === undefined ? "internal" : codeLabel(code);
    Stats.bump(this.publishErrorsBy, `${namespace} ${label}`);
    this.publishLatency.observeMs(ms, namespace, label);
  }

  /** A connection ended. */
  ended(code: number): void {
    Stats.bump(this.closeCodes, endLabel(code));
  }

  /** Adds to a counter kept by a label. */
  static bump<Label extends string>(map: Map<Label, number>, key: Label, by = 1): void {
    map.set(key, (map.get(key) ?? 0) + by);
  }
}

function sum(counts: ReadonlyMap<string, number>): number {
  let all = 0;
  for (const count of counts.values()) all += count;
  return all;
}
