/** Offsets kept until they are compared with the store; beyond it the oldest are let go unchecked. */
const MAX_UNCHECKED = 10_000;

/** Messages asked of the store at a time. */
const PAGE = 250;

/** Latencies the median is taken of. */
const WINDOW = 50;

/**
 * The page's book-keeping: what arrived, whether anything came twice, and whether anything the store holds never came.
 * Offsets rise but are not contiguous within a channel, so a hole cannot be seen from them: the ledger compares what
 * arrived with the channel's history instead.
 */
export class Ledger {
  epoch = "";
  /** Offset of the newest message that arrived, or of the point the subscription began at. */
  offset = 0;
  received = 0;
  duplicates = 0;
  gaps = 0;
  /** Everything up to here was compared with the store. */
  checkedTo = 0;
  #unchecked = new Set();
  #latencies = [];

  /** A subscription began anew at this position: nothing before it counts. */
  begin({ epoch, offset }) {
    this.epoch = epoch;
    this.offset = this.checkedTo = offset;
    this.#unchecked.clear();
  }

  /** Books one arrival. Returns false when it came before. */
  arrived(offset) {
    this.received++;
    if (!offset) return true; // a channel without history has no offsets
    if (offset <= this.offset) {
      this.duplicates++;
      return false;
    }
    this.offset = offset;
    this.#unchecked.add(offset);
    if (this.#unchecked.size > MAX_UNCHECKED) {
      const [oldest] = this.#unchecked;
      this.#unchecked.delete(oldest);
      this.checkedTo = oldest;
    }
    return true;
  }

  get fullyChecked() {
    return this.checkedTo >= this.offset;
  }

  /**
   * Compares with the store everything that arrived since the last time.
   * @param history `({since, limit}) => Promise<{publications, epoch}>`
   */
  async check(history) {
    const { epoch, offset: upTo } = this;
    while (this.epoch === epoch && this.checkedTo < upTo) {
      const page = await history({ since: { epoch, offset: this.checkedTo }, limit: PAGE });
      if (this.epoch !== epoch || page.epoch !== epoch) return;
      for (const { offset } of page.publications) {
        if (offset <= this.checkedTo) continue; // let go meanwhile
        if (offset > upTo) break;
        if (!this.#unchecked.delete(offset)) this.gaps++;
        this.checkedTo = offset;
      }
      if (page.publications.length < PAGE || page.publications.at(-1).offset > upTo) break;
    }
    if (this.epoch !== epoch) return;
    // What the store no longer keeps cannot be compared.
    for (const offset of this.#unchecked) if (offset <= upTo) this.#unchecked.delete(offset);
    this.checkedTo = Math.max(this.checkedTo, upTo);
  }

  /** @param ms from sending a message to its arrival */
  timed(ms) {
    this.lastMs = ms;
    this.#latencies.push(ms);
    if (this.#latencies.length > WINDOW) this.#latencies.shift();
  }

  /** Latency of the newest own message, ms; undefined before the first. */
  lastMs;

  get medianMs() {
    return this.#latencies.toSorted((a, b) => a - b)[this.#latencies.length >> 1];
  }
}
