import { CommandError, Errors } from "../../../core/errors.ts";
import type { Logger } from "../../../core/log.ts";
import type { Subjects } from "../../../core/subject.ts";
import { utf8Decoder } from "../../../core/text.ts";
import { nuid } from "../../../nats/client.ts";
import type { Entry } from "../../broker.ts";
import { type Envelope, openEnvelope, publishHeaders } from "../link/headers.ts";
import type { Link } from "../link/link.ts";
import type { StreamAdmin } from "../streams/admin.ts";
import { MAX_ENTRIES, type WantedStream } from "../streams/config.ts";
import type { ReplicatedStream } from "../streams/replicated-stream.ts";
import type { Publisher } from "./publisher.ts";

/** How often the stream is looked at for what was not heard, ms. */
const LOOK_MS = 5_000;
const PUT_TIMEOUT_MS = 4_000;

export interface EntriesOptions {
  readonly link: Link;
  readonly publisher: Publisher;
  readonly streams: StreamAdmin;
  readonly subjects: Subjects;
  readonly wanted: WantedStream;
  readonly store: ReplicatedStream;
  readonly log: Logger;
  readonly listeners: ReadonlySet<(entry: Entry) => void>;
  /** Makes the stream anew when it is gone, and says whether it was. */
  readonly remake: () => Promise<boolean>;
}

/** The entries of a system in one small stream, the last of each key: heard as they are stored, and read at every start. */
export class Entries {
  readonly #options: EntriesOptions;
  /** By key, removed ones too, with the sequence each was stored at. */
  readonly #known = new Map<string, Entry & { readonly seq: number }>();
  readonly #timer: ReturnType<typeof setInterval>;
  /** Everything up to this sequence was read. */
  #read = 0;
  /** Highest sequence seen. */
  #top = 0;
  #looking: Promise<void> | undefined;

  constructor(options: EntriesOptions) {
    this.#options = options;
    const { link, subjects, log } = options;
    link.nc.subscribe(subjects.liveEntries(), {
      callback: (error, message) => {
        if (error) log.error("the subscription for entries was refused", { error });
        // Without a sequence it was not stored.
        else this.#take(message.subject, openEnvelope(message));
      },
    });
    link.onUp(() => void this.look());
    this.#timer = setInterval(() => void this.look(), LOOK_MS);
  }

  /** Those that stand. */
  current(): Entry[] {
    const now = Date.now();
    return [...this.#known.values()].filter(
      ({ value, expiresAtMs }) => value !== undefined && expiresAtMs > now,
    );
  }

  /** @throws CommandError brokerUnavailable, limitExceeded */
  async put(entry: Entry): Promise<void> {
    const { subjects, wanted, publisher } = this.#options;
    if (!this.#known.has(entry.key) && this.#known.size >= MAX_ENTRIES) {
      await this.#discard();
      if (this.#known.size >= MAX_ENTRIES) throw new CommandError(Errors.limitExceeded, "too many entries");
    }
    const { key, value, expiresAtMs } = entry;
    const to = { subject: subjects.entry(key), stream: wanted.name };
    const body = JSON.stringify({ value: value ?? null, expiresAtMs });
    const { seq } = await publisher.publish(to, body, publishHeaders(nuid.next(), {}), PUT_TIMEOUT_MS);
    this.#apply(key, { ...entry, seq });
  }

  /** Reads what the stream has beyond what was read. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => this.#options.log.warn("entries cannot be read", { error }))
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const { link, store, subjects, remake } = this.#options;
    if (!link.connected) return;
    // At its home: a copy may be behind what was heard.
    const head = await store.origin.last(">").catch(async (error: unknown) => {
      if (await remake().catch(() => false)) return null;
      this.#options.log.debug("the home of entries does not answer", { error });
      return undefined;
    });
    if (head !== undefined && (head?.seq ?? 0) < this.#top) await this.#putBack(head?.seq ?? 0);
    await store.read(subjects.entries(), this.#read + 1, { expected: 64 }, (envelope) => {
      this.#take(envelope.subject ?? "", envelope);
      this.#read = Math.max(this.#read, envelope.seq);
      return true;
    });
  }

  /** The stream has less than it had: it is another one, or went back. What is known is stored again. */
  async #putBack(head: number): Promise<void> {
    const { log } = this.#options;
    const standing = this.current();
    const top = this.#top;
    log.warn("entries were lost; storing them again", { count: standing.length });
    this.#read = 0;
    this.#top = head;
    for (const [key, entry] of this.#known) this.#known.set(key, { ...entry, seq: 0 });
    try {
      for (const entry of standing) await this.put(entry);
    } catch (error) {
      this.#top = top; // so that it is tried again
      throw error;
    }
  }

  /** Removes what has expired from the stream, which makes room. */
  async #discard(): Promise<void> {
    const { streams, subjects, wanted } = this.#options;
    const now = Date.now();
    for (const [key, { value, expiresAtMs, seq }] of this.#known) {
      if (value !== undefined && expiresAtMs > now) continue;
      await streams.purge(wanted.name, subjects.entry(key), seq + 1);
      this.#known.delete(key);
    }
  }

  #take(subject: string, envelope: Envelope): void {
    const key = this.#options.subjects.entryKey(subject);
    if (key === undefined || envelope.seq === 0) return;
    try {
      const { value, expiresAtMs } = JSON.parse(utf8Decoder.decode(envelope.data)) as Record<string, unknown>;
      if (typeof expiresAtMs !== "number" || !Number.isSafeInteger(expiresAtMs)) return;
      const isObject = typeof value === "object" && value !== null;
      const entry = { key, value: isObject ? (value as Entry["value"]) : undefined, expiresAtMs };
      this.#apply(key, { ...entry, seq: envelope.seq });
    } catch {
      // Not of ours: it says nothing.
    }
  }

  #apply(key: string, entry: Entry & { readonly seq: number }): void {
    const known = this.#known.get(key);
    if (known && known.seq >= entry.seq) return;
    this.#known.set(key, entry);
    this.#top = Math.max(this.#top, entry.seq);
    for (const listener of this.#options.listeners) {
      try {
        listener(entry);
      } catch (error) {
        this.#options.log.error("an entry could not be applied", { key, error });
      }
    }
  }
}
