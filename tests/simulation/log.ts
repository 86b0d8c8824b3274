/** Headers of a message in order, as the server keeps them. */
export type Headers = readonly (readonly [key: string, value: string])[];

/** A message in a stream. */
export interface Entry {
  readonly seq: number;
  readonly subject: string;
  readonly headers: Headers;
  readonly data: Uint8Array;
  /** As the server writes it, RFC 3339 with nanoseconds. */
  readonly time: string;
}

/** What one server has of a stream. */
export class Log {
  /** By rising sequence. */
  entries: Entry[] = [];
  last = 0;
  lastTime = "0001-01-01T00:00:00Z";
  /** When a follower has got everything that its leader has sent. */
  caughtUpAt = 0;

  get first(): number {
    return this.entries[0]?.seq ?? this.last + 1;
  }

  copy(): Log {
    const log = new Log();
    log.entries = [...this.entries];
    log.last = this.last;
    log.lastTime = this.lastTime;
    return log;
  }

  /** Adds an entry, unless this server has one of that sequence: then it keeps its own. */
  add(entry: Entry, mostPerSubject: number): void {
    if (entry.seq <= this.last) return;
    this.entries.push(entry);
    this.last = entry.seq;
    this.lastTime = entry.time;
    if (mostPerSubject <= 0) return;
    const same = this.entries.filter(({ subject }) => subject === entry.subject);
    if (same.length > mostPerSubject) this.remove(same[0]!.seq);
  }

  remove(seq: number): void {
    this.entries = this.entries.filter((entry) => entry.seq !== seq);
  }

  /** Removes what fits, before a sequence. */
  purge(filter: string, before: number): number {
    const kept = this.entries.filter(({ subject, seq }) => seq >= before || !matches(filter, subject));
    const purged = this.entries.length - kept.length;
    this.entries = kept;
    return purged;
  }

  /** Holds what another server holds, as far as it has come. */
  align(leader: Log): void {
    if (this.entries.every((entry) => leader.get(entry.seq) === entry)) return;
    this.entries = leader.entries.filter(({ seq }) => seq <= this.last);
    this.last = this.entries.at(-1)?.seq ?? 0;
  }

  /** Forgets everything after a sequence. */
  cut(seq: number): void {
    this.entries = this.entries.filter((entry) => entry.seq <= seq);
    this.last = Math.min(this.last, seq);
    this.lastTime = this.entries.at(-1)?.time ?? this.lastTime;
  }

  get(seq: number): Entry | undefined {
    return this.entries.find((entry) => entry.seq === seq);
  }

  next(filter: string, from: number): Entry | undefined {
    return this.entries.find((entry) => entry.seq >= from && matches(filter, entry.subject));
  }

  newest(filter: string): Entry | undefined {
    return this.entries.findLast((entry) => matches(filter, entry.subject));
  }
}

/** The one that has most. */
export function longest(logs: readonly Log[]): Log {
  return logs.reduce((one, other) => (other.last > one.last ? other : one));
}

/** Whether a filter has wildcards. */
export function isWild(filter: string): boolean {
  return filter.includes("*") || filter.endsWith(">");
}

/** Filters with wildcards, made to fit at once: a run asks for few of them, and often. */
const patterns = new Map<string, RegExp>();
const PATTERNS = 1_000;

/** Whether a subject fits a filter with NATS's wildcards. */
export function matches(filter: string, subject: string): boolean {
  if (filter === subject || filter === ">") return true;
  if (!isWild(filter)) return false;
  let pattern = patterns.get(filter);
  if (!pattern) {
    if (patterns.size >= PATTERNS) patterns.clear();
    pattern = patternOf(filter);
    patterns.set(filter, pattern);
  }
  return pattern.test(subject);
}

function patternOf(filter: string): RegExp {
  const tokens = filter.split(".").map((token, index, all) => {
    if (token === ">" && index === all.length - 1) return ".+";
    return token === "*" ? "[^.]+" : token.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  });
  return new RegExp(`^${tokens.join("\\.")}$`);
}
