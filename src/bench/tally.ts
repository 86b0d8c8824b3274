import process from "node:process";
import * as hdr from "hdr-histogram-js";

/** Longest time that a histogram resolves, µs; longer times count as this. */
const LONGEST_US = 300e6;

/** Times in µs, three significant digits. */
export class Times {
  readonly #histogram: hdr.Histogram;

  constructor(histogram = newHistogram()) {
    this.#histogram = histogram;
  }

  /** @param ms negative counts as zero */
  record(ms: number, times = 1): void {
    const us = Math.min(Math.max(Math.round(ms * 1000), 0), LONGEST_US);
    this.#histogram.recordValueWithCount(us, times);
  }

  get count(): number {
    return this.#histogram.totalCount;
  }

  /** Percentile of the times, ms; `undefined` without any. */
  percentileMs(percent: number): number | undefined {
    return this.count === 0 ? undefined : this.#histogram.getValueAtPercentile(percent) / 1000;
  }

  add(encoded: string): void {
    if (encoded === "") return;
    this.#histogram.add(hdr.decodeFromCompressedBase64(encoded) as hdr.Histogram);
  }

  /** "" if empty: packing an empty histogram takes as long as a full one. */
  encode(): string {
    if (this.count === 0) return "";
    return hdr.encodeIntoCompressedBase64(this.#histogram);
  }
}

function newHistogram(): hdr.Histogram {
  return hdr.build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LONGEST_US,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 64,
    useWebAssembly: false,
  });
}

/** A worker's counts since the last {@link Tally.take}, in the form that is sent between processes. */
export interface Report {
  readonly counts: Counts;
  /** Reasons why clients could not connect or were disconnected, with counts. */
  readonly reasons: Readonly<Record<string, number>>;
  /** Encoded {@link Times}: from dialing to joined, from due to received, and from due to the answer. */
  readonly joining: string;
  readonly latency: string;
  readonly acks: string;
  /** For each message, by its number: the longest time to any client of this worker, ms. */
  readonly slowestMs: readonly (readonly [n: number, ms: number])[];
  /** Times of the first dial and the last join, by {@link nowMs}; 0 if none. */
  readonly firstDialMs: number;
  readonly lastJoinMs: number;
  /** Times of the first and last message received, by {@link nowMs}; 0 if none. */
  readonly firstMessageMs: number;
  readonly lastMessageMs: number;
  /** When the first publish was due, and when the last answer came; 0 if none. */
  readonly firstPublishMs: number;
  readonly lastAckMs: number;
  /** Processor time of the worker, ms. */
  readonly cpuMs: number;
}

export type Counts = ReturnType<typeof zeros>;

function zeros() {
  return {
    joined: 0,
    /** Clients that could not connect. */
    failed: 0,
    /** Clients disconnected after they had connected. */
    dropped: 0,
    messages: 0,
    duplicates: 0,
    /** Came after a newer one of the same publisher. */
    disorder: 0,
    lost: 0,
    /** Publishes that were accepted, refused, and never answered. */
    published: 0,
    refused: 0,
    unanswered: 0,
    pings: 0,
    recovered: 0,
    unrecovered: 0,
    /** Messages due before their client was connected. */
    replayed: 0,
  };
}

/** What a worker counts. */
export class Tally {
  counts = zeros();
  firstDialMs = 0;
  lastJoinMs = 0;
  firstPublishMs = 0;
  #lastAckMs = 0;
  #reasons = new Map<string, number>();
  #joining = new Times();
  #latency = new Times();
  #acks = new Times();
  #slowestMs = new Map<number, number>();
  #firstMessageMs = 0;
  #lastMessageMs = 0;
  #cpuMs = cpuMs();

  joined(tookMs: number, nowMs: number): void {
    this.counts.joined++;
    this.lastJoinMs = nowMs;
    this.#joining.record(tookMs);
  }

  /** Counts a failed connect, a lost connection, or a refused publish. */
  ended(kind: "failed" | "dropped" | "refused", reason: string): void {
    this.counts[kind]++;
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
  }

  published(dueMs: number, nowMs: number, timed: boolean): void {
    this.counts.published++;
    this.#lastAckMs = nowMs;
    if (timed) this.#acks.record(nowMs - dueMs);
  }

  /**
   * @param n number of the message within the run; 0 if it is not unique
   * @param timed whether its latency is counted (not during warm-up)
   */
  received(n: number, dueMs: number, nowMs: number, timed: boolean): void {
    this.counts.messages++;
    this.#firstMessageMs ||= nowMs;
    this.#lastMessageMs = nowMs;
    if (!timed) return;
    const tookMs = nowMs - dueMs;
    this.#latency.record(tookMs);
    if (n > 0 && tookMs > (this.#slowestMs.get(n) ?? 0)) this.#slowestMs.set(n, tookMs);
  }

  /** Reports, and resets all counts. */
  take(): Report {
    const report: Report = {
      counts: this.counts,
      reasons: Object.fromEntries(this.#reasons),
      joining: this.#joining.encode(),
      latency: this.#latency.encode(),
      acks: this.#acks.encode(),
      slowestMs: [...this.#slowestMs],
      firstDialMs: this.firstDialMs,
      lastJoinMs: this.lastJoinMs,
      firstMessageMs: this.#firstMessageMs,
      lastMessageMs: this.#lastMessageMs,
      firstPublishMs: this.firstPublishMs,
      lastAckMs: this.#lastAckMs,
      cpuMs: cpuMs() - this.#cpuMs,
    };
    this.counts = zeros();
    this.firstDialMs = this.lastJoinMs = this.#firstMessageMs = this.#lastMessageMs = 0;
    this.firstPublishMs = this.#lastAckMs = 0;
    this.#reasons = new Map();
    this.#joining = new Times();
    this.#latency = new Times();
    this.#acks = new Times();
    this.#slowestMs = new Map();
    this.#cpuMs = cpuMs();
    return report;
  }
}

/** The reports of all workers, taken together. */
export interface Sum {
  readonly counts: Counts;
  readonly reasons: ReadonlyMap<string, number>;
  readonly joining: Times;
  readonly latency: Times;
  readonly acks: Times;
  /** For each message, the time until the last client had it. */
  readonly lastClient: Times;
  /** From the first dial to the last join, ms. */
  readonly joiningMs: number;
  /** From the first message's arrival to the last one's, ms. */
  readonly receivingMs: number;
  /** From the first publish to the last answer, ms. */
  readonly publishingMs: number;
  /** Processor time of all workers, ms. */
  readonly cpuMs: number;
}

export function sum(reports: readonly Report[]): Sum {
  const counts = zeros();
  const reasons = new Map<string, number>();
  const joining = new Times();
  const latency = new Times();
  const acks = new Times();
  const slowestMs = new Map<number, number>();
  for (const report of reports) {
    for (const key of Object.keys(counts) as (keyof Counts)[]) counts[key] += report.counts[key];
    for (const [reason, times] of Object.entries(report.reasons)) {
      reasons.set(reason, (reasons.get(reason) ?? 0) + times);
    }
    joining.add(report.joining);
    latency.add(report.latency);
    acks.add(report.acks);
    for (const [n, ms] of report.slowestMs) slowestMs.set(n, Math.max(ms, slowestMs.get(n) ?? 0));
  }
  const lastClient = new Times();
  for (const ms of slowestMs.values()) lastClient.record(ms);
  return {
    counts,
    reasons,
    joining,
    latency,
    acks,
    lastClient,
    joiningMs: span(
      reports.map((report) => report.firstDialMs),
      reports.map((report) => report.lastJoinMs),
    ),
    receivingMs: span(
      reports.map((report) => report.firstMessageMs),
      reports.map((report) => report.lastMessageMs),
    ),
    publishingMs: span(
      reports.map((report) => report.firstPublishMs),
      reports.map((report) => report.lastAckMs),
    ),
    cpuMs: reports.reduce((total, report) => total + report.cpuMs, 0),
  };
}

/** From the earliest start to the latest end; zeros are workers without any. */
function span(starts: readonly number[], ends: readonly number[]): number {
  const began = starts.filter((ms) => ms > 0);
  return began.length === 0 ? 0 : Math.max(0, Math.max(...ends) - Math.min(...began));
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
