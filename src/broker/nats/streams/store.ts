import type { Msg } from "../../../nats/client.ts";
import { type Envelope, openEnvelope } from "../link/headers.ts";
import type { Link } from "../link/link.ts";
import { type NoAnswer, RequestError, type Requests, type Waiter } from "../link/requests.ts";

/** How long one direct get may take, ms. */
const DIRECT_GET_TIMEOUT_MS = 2_000;
/** Most messages asked for at once. */
const BATCH = 512;
/** Without batches: messages read one after the other first, and parts of a range then read at the same time. */
const PROBED = 4;
const PARTS = 16;
/** Most bytes of one batch: answers come without flow control. */
const BATCH_BYTES = 4 * 1024 * 1024;
/** A batch is not asked for less, however few bytes are wanted: headers and subjects count, too. */
const LEAST_BATCH_BYTES = 64 * 1024;

/** What a reader knows beforehand. */
export interface ReadHints {
  /** About how many messages are wanted, so that not many more are fetched. */
  readonly expected: number;
  /** The stream reaches up to here, at least. */
  readonly known?: number;
  /** About how many bytes are wanted, so that not many more are fetched. */
  readonly bytes?: number;
}

/**
 * Reads one stream by direct gets: no consumer, no leader, any copy answers. A server without the stream answers with
 * 503 or, before 2.11, not at all. @throws RequestError
 */
export class Store {
  readonly stream: string;
  readonly #link: Link;
  readonly #requests: Requests;
  readonly #subject: string;

  constructor(link: Link, requests: Requests, stream: string) {
    this.stream = stream;
    this.#link = link;
    this.#requests = requests;
    this.#subject = `$JS.API.DIRECT.GET.${stream}`;
  }

  /** The oldest kept message at or after `from` whose subject matches, or null. `>` matches all. */
  next(subject: string, from: number): Promise<Envelope | null> {
    return this.get({ seq: Math.max(1, from), next_by_subj: subject }, DIRECT_GET_TIMEOUT_MS);
  }

  /** The newest kept message whose subject matches, or null. */
  async last(subject: string, timeoutMs = DIRECT_GET_TIMEOUT_MS): Promise<Envelope | null> {
    const found = await this.get({ last_by_subj: subject }, timeoutMs);
    return found || this.#link.knowsLast ? found : await this.#newestOf(subject);
  }

  /**
   * The newest message by `next` alone: before 2.12 a server says that a subject has none once the newest was withdrawn
   * (`STREAM.MSG.DELETE`), though older ones are kept. One read where there is none.
   */
  async #newestOf(subject: string): Promise<Envelope | null> {
    let newest = await this.next(subject, 1);
    // Nothing is at or after this.
    let end = Number.POSITIVE_INFINITY;
    for (let step = 1; newest && newest.seq + 1 < end; step *= 2) {
      const first = newest.seq + 1;
      const probe = end === Number.POSITIVE_INFINITY ? newest.seq + step : Math.floor((first + end) / 2);
      const found = await this.next(subject, probe);
      if (found) newest = found;
      else end = probe;
    }
    return newest;
  }

  /** The message at a sequence, or null when nothing is kept there. */
  at(sequence: number): Promise<Envelope | null> {
    return this.get({ seq: sequence }, DIRECT_GET_TIMEOUT_MS);
  }

  /**
   * Gives every kept message of `subject` from `from` on to `each`, oldest first, until that returns false. Resolves
   * with whether the end was reached. In batches; servers without them answer one message at a time, and are asked
   * for several parts at once where the stream is known to reach far enough.
   */
  async read(
    subject: string,
    from: number,
    hints: ReadHints,
    each: (envelope: Envelope) => boolean,
  ): Promise<boolean> {
    const start = Math.max(1, from);
    return this.batches
      ? await this.#readBatches(subject, start, hints, each)
      : await this.#readSingles(subject, start, hints, each);
  }

  async #readBatches(
    subject: string,
    from: number,
    { expected, bytes = BATCH_BYTES }: ReadHints,
    each: (envelope: Envelope) => boolean,
  ): Promise<boolean> {
    let next = from;
    let size = Math.min(BATCH, Math.max(1, expected));
    const maxBytes = Math.min(BATCH_BYTES, Math.max(LEAST_BATCH_BYTES, bytes));
    for (;;) {
      const batch = new Batch(this.#subject, each);
      const query = { seq: next, next_by_subj: subject, batch: size, max_bytes: maxBytes };
      this.#requests.send(this.#subject, JSON.stringify(query), batch);
      const outcome = await batch.done;
      if (outcome !== "more") return outcome === "end";
      next = batch.last + 1;
      size = BATCH;
    }
  }

  async #readSingles(
    subject: string,
    from: number,
    { expected, known = 0, bytes = BATCH_BYTES }: ReadHints,
    each: (envelope: Envelope) => boolean,
  ): Promise<boolean> {
    const maxBytes = Math.min(BATCH_BYTES, bytes);
    let at = from;
    let read = 0;
    for (let got = 0; ; ) {
      if (got < PROBED || at > known) {
        const envelope = await this.next(subject, at);
        if (!envelope) return true;
        at = envelope.seq + 1;
        got++;
        read += envelope.data.length;
        if (!each(envelope)) return false;
        continue;
      }
      // How dense the channel was so far, and how long its messages, decides how far to read at a time.
      const affordable = Math.max(1, Math.floor((maxBytes * got) / Math.max(1, read)));
      const count = Math.min(BATCH, affordable, Math.max(PARTS, expected - got, got));
      const end = Math.min(known, at + Math.ceil(((at - from) / got) * count));
      const part = await this.#readParts(subject, at, end, { count, maxBytes });
      for (const envelope of part.found) {
        got++;
        read += envelope.data.length;
        if (!each(envelope)) return false;
      }
      at = part.end + 1;
    }
  }

  /**
   * The messages of a range, in order, its parts read at the same time.
   * @param limits about so many messages are there, and about so many bytes are read at most: what is longer than was
   *   foreseen ends earlier
   * @returns `end`: up to where `found` has everything
   */
  async #readParts(
    subject: string,
    from: number,
    to: number,
    { count, maxBytes }: { readonly count: number; readonly maxBytes: number },
  ): Promise<{ readonly found: readonly Envelope[]; readonly end: number }> {
    // Each part reads one message that belongs to the next one.
    const width = Math.ceil((to - from + 1) / Math.min(PARTS, count));
    let bytes = 0;
    const read = async (start: number) => {
      const end = Math.min(to, start + width - 1);
      const found: Envelope[] = [];
      let at = start;
      while (at <= end && (bytes < maxBytes || found.length === 0)) {
        const envelope = await this.next(subject, at);
        if (!envelope || envelope.seq > end) return { found, end, whole: true };
        found.push(envelope);
        bytes += envelope.data.length;
        at = envelope.seq + 1;
      }
      return { found, end: Math.min(end, at - 1), whole: at > end };
    };
    const starts = Array.from({ length: PARTS }, (_, part) => from + part * width).filter(
      (start) => start <= to,
    );
    const parts = await Promise.all(starts.map(read));
    const broken = parts.findIndex(({ whole }) => !whole);
    const usable = broken < 0 ? parts : parts.slice(0, broken + 1);
    return { found: usable.flatMap(({ found }) => found), end: usable.at(-1)!.end };
  }

  /** Whether several messages are had with one request. */
  get batches(): boolean {
    return this.#link.batches;
  }

  protected async get(query: Record<string, unknown>, timeoutMs: number): Promise<Envelope | null> {
    const envelope = await this.#requests.ask(this.#subject, JSON.stringify(query), timeoutMs);
    if (envelope.seq > 0) return envelope; // whatever status its publisher wrote into it
    if (envelope.code === 404) return null;
    throw new RequestError("absent", this.#subject);
  }
}

/** A direct get of several messages (2.11), ended by status 204. */
class Batch implements Waiter {
  expiresAt = performance.now() + DIRECT_GET_TIMEOUT_MS;
  readonly done: Promise<"end" | "more" | "stopped">;
  /** Sequence of the newest message that came. */
  last = 0;
  #resolve!: (outcome: "end" | "more" | "stopped") => void;
  #reject!: (error: Error) => void;
  readonly #subject: string;
  readonly #each: (envelope: Envelope) => boolean;

  constructor(subject: string, each: (envelope: Envelope) => boolean) {
    this.#subject = subject;
    this.#each = each;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  reply(message: Msg): boolean {
    const envelope = openEnvelope(message);
    if (envelope.seq > 0) {
      this.last = envelope.seq;
      this.expiresAt = performance.now() + DIRECT_GET_TIMEOUT_MS;
      if (!this.#each(envelope)) this.#resolve("stopped");
      // A server older than 2.11, in a cluster of several versions, ignores `batch` and answers once.
      else if (envelope.pending < 0) this.#resolve("more");
      else return false;
    } else if (envelope.code === 204) this.#resolve(envelope.pending > 0 ? "more" : "end");
    else if (envelope.code === 404) this.#resolve("end");
    else this.#reject(new RequestError("absent", this.#subject));
    return true;
  }

  fail(why: NoAnswer): void {
    this.#reject(new RequestError(why, this.#subject));
  }
}
