/** How long to wait before a message refused for the moment is tried again. */
const RETRY_MS = 1000;

/**
 * Messages typed and not yet seen to come back. Each has an id of its own, and is sent again with the same id after a
 * broken link until it is stored: the gateway stores it once.
 */
export class Outbox {
  #pending = new Map();
  #ready;
  #send;
  #onRefused;
  #onChange;

  /**
   * @param ready `() => boolean`, whether anything can be sent now; call {@link flush} when it becomes so
   * @param send `({id, data}) => Promise`, rejects with the client's error
   * @param onRefused `(entry, error)`: it will never be stored
   * @param onChange told after every change
   */
  constructor({ ready, send, onRefused, onChange }) {
    this.#ready = ready;
    this.#send = send;
    this.#onRefused = onRefused;
    this.#onChange = onChange;
  }

  /** Entries in order of typing: `{id, data, tries, firstTryAt}`; times are monotonic, ms. */
  get entries() {
    return [...this.#pending.values()];
  }

  add(text) {
    const entry = { id: newId(), data: { text, at: Date.now() }, tries: 0, firstTryAt: 0 };
    this.#pending.set(entry.id, entry);
    this.#onChange();
    this.flush();
  }

  /** Sends what waits, if it can be; what is on its way is left alone. */
  flush() {
    if (!this.#ready()) return;
    for (const entry of this.#pending.values()) if (!entry.busy) this.#try(entry);
  }

  /** A message of this user came back: was it one of these? Returns the entry, which is then done. */
  arrived(data) {
    for (const entry of this.#pending.values()) {
      if (entry.data.at !== data?.at || entry.data.text !== data?.text) continue;
      this.#pending.delete(entry.id);
      this.#onChange();
      return entry;
    }
    return undefined;
  }

  clear() {
    this.#pending.clear();
  }

  async #try(entry) {
    entry.busy = true;
    entry.tries++;
    entry.firstTryAt ||= performance.now();
    let error;
    try {
      await this.#send(entry);
    } catch (reason) {
      error = reason;
    }
    entry.busy = false;
    if (!error || !this.#pending.has(entry.id)) return;
    // Codes below 100 are the client's own: the link is gone, or the answer did not come in time.
    if (error.code < 100 || error.temporary) {
      setTimeout(() => this.flush(), RETRY_MS);
      return;
    }
    this.#pending.delete(entry.id);
    this.#onRefused(entry, error);
    this.#onChange();
  }
}

/** `crypto.randomUUID` is there on https and localhost only; a phone in the same network opens neither. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}
