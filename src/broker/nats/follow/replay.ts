import { type Msg, nuid } from "../../../nats/client.ts";
import { type Envelope, openEnvelope } from "../link/headers.ts";
import type { Link } from "../link/link.ts";
import type { Store } from "../streams/store.ts";

/** Takes one message; returns whether to go on. */
type Each = (subject: string, seq: number, envelope: Envelope) => boolean;

/** A replay in which nothing came for this long is broken, ms. */
const STALL_MS = 3_000;
/** How often that is checked, ms. */
const WATCH_MS = 50;
/** How long the server may take to make the consumer, ms. */
const CREATE_TIMEOUT_MS = 2_000;
/** Live messages must not wait behind headers that nobody waits for: bits a second. */
const HEADERS_BPS = 16_000_000;
/** After this long without us the server removes the consumer, nanoseconds; also the time between two heartbeats. */
const INACTIVE_NS = 5_000_000_000;

/** What is replayed. */
export interface Replayed {
  readonly store: Store;
  readonly from: number;
  /** The end of the stream, where only `store` may be asked, message by message: a consumer may be at any replica. */
  readonly exactlyTo?: number;
  /** Bodies are of no use, and come only where they cannot be left out. */
  readonly headersOnly?: true;
}

/**
 * Gives every message of a stream from `from` on to `each`, unfiltered, until what was stored when it began is read.
 * Rejects when the link is lost meanwhile, when `each` returns false, or when nothing comes.
 */
export async function replay(
  link: Link,
  { store, from, exactlyTo, headersOnly }: Replayed,
  each: Each,
): Promise<void> {
  // One message at a time takes minutes across an ocean: from there, too, a consumer is the shorter way.
  if (!store.batches && exactlyTo === undefined)
    return await new ReplayConsumer(link, store.stream, each).run(from, headersOnly);
  const hints = { expected: Number.POSITIVE_INFINITY, ...(exactlyTo !== undefined && { known: exactlyTo }) };
  const whole = await store.read(">", from, hints, (envelope) =>
    each(envelope.subject ?? "", envelope.seq, envelope),
  );
  if (!whole) throw new Error("replay abandoned");
}

/** The server's answer to the request that makes a consumer. */
interface ConsumerCreated {
  readonly error?: { readonly description: string };
  readonly num_pending: number;
  readonly delivered: { readonly consumer_seq: number };
}

/**
 * A replay by an ephemeral push consumer, for servers without batches. It has no filter: nats-server 2.9 would scan the
 * block for every message it delivers. Flow control keeps it from drowning the connection.
 */
class ReplayConsumer {
  readonly #link: Link;
  readonly #stream: string;
  readonly #each: Each;
  readonly #name = nuid.next();
  /** Messages that were stored when it began; -1 until the server has said so. */
  #wanted = -1;
  #got = 0;
  #heardAt = performance.now();
  readonly #ended: Promise<void>;
  #resolve!: () => void;
  #reject!: (error: Error) => void;

  constructor(link: Link, stream: string, each: Each) {
    this.#link = link;
    this.#stream = stream;
    this.#each = each;
    this.#ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#ended.catch(() => {}); // it may fail before it is awaited
  }

  async run(from: number, headersOnly = false): Promise<void> {
    const { nc, generation } = this.#link;
    const inbox = this.#link.newInbox();
    const subscription = nc.subscribe(inbox, {
      callback: (error, message) => {
        try {
          if (error) throw error;
          this.#take(message);
        } catch (failure) {
          this.#reject(failure as Error);
        }
      },
    });
    const watch = setInterval(() => {
      const stalled = performance.now() - this.#heardAt > STALL_MS;
      if (this.#link.generation !== generation || stalled) this.#reject(new Error("replay broken"));
    }, WATCH_MS);
    try {
      this.#wanted = await this.#create(inbox, from, headersOnly);
      if (this.#got < this.#wanted) await this.#ended;
    } finally {
      clearInterval(watch);
      subscription.unsubscribe();
      // Without this the server would remove it after the inactive threshold.
      if (this.#link.generation === generation) {
        nc.publish(`$JS.API.CONSUMER.DELETE.${this.#stream}.${this.#name}`);
      }
    }
  }

  /** Makes the consumer. Resolves with how many messages it will deliver. */
  async #create(inbox: string, from: number, headersOnly: boolean): Promise<number> {
    const request = {
      stream_name: this.#stream,
      config: {
        name: this.#name,
        ack_policy: "none",
        deliver_policy: "by_start_sequence",
        opt_start_seq: Math.max(1, from),
        deliver_subject: inbox,
        flow_control: true,
        ...(headersOnly && { headers_only: true, rate_limit_bps: HEADERS_BPS }),
        idle_heartbeat: INACTIVE_NS,
        inactive_threshold: INACTIVE_NS,
        mem_storage: true,
        num_replicas: 1,
      },
    };
    const subject = `$JS.API.CONSUMER.CREATE.${this.#stream}.${this.#name}`;
    const answer = await this.#link.nc.request(subject, JSON.stringify(request), {
      timeout: CREATE_TIMEOUT_MS,
    });
    const { error, num_pending, delivered } = answer.json<ConsumerCreated>();
    if (error) throw new Error(error.description);
    return num_pending + delivered.consumer_seq;
  }

  #take(message: Msg): void {
    this.#heardAt = performance.now();
    if (!message.reply?.startsWith("$JS.ACK.")) {
      if (message.reply) message.respond(); // flow control; without a reply subject it is a heartbeat
      return;
    }
    const { streamSeq, consumerSeq, nanos } = deliveryOf(message.reply);
    this.#got++;
    if (consumerSeq !== this.#got) this.#reject(new Error("replay has a hole"));
    else if (!this.#each(message.subject, streamSeq, storedAt(openEnvelope(message), nanos))) {
      this.#reject(new Error("replay abandoned"));
    } else if (this.#wanted >= 0 && this.#got >= this.#wanted) this.#resolve();
  }
}

/** Reads `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<times>.<stream seq>.<consumer seq>.<time>.<pending>[.<token>]`. */
function deliveryOf(reply: string): {
  readonly streamSeq: number;
  readonly consumerSeq: number;
  readonly nanos: string;
} {
  const tokens = reply.split(".");
  const at = tokens.length === 9 ? 5 : 7;
  return { streamSeq: Number(tokens[at]), consumerSeq: Number(tokens[at + 1]), nanos: tokens[at + 2] ?? "" };
}

/** A consumer does not give the header that says when a message was stored, by which one without an id is known. */
function storedAt(envelope: Envelope, nanos: string): Envelope {
  if (envelope.id === undefined && envelope.stored === undefined) envelope.stored = timeStampOf(nanos);
  return envelope;
}

/** Nanoseconds since 1970 as nats-server writes a time: RFC 3339, the fraction without zeros at its end. */
export function timeStampOf(nanos: string): string | undefined {
  if (!/^\d{10,}$/.test(nanos)) return undefined;
  const seconds = new Date(Number(nanos.slice(0, -9)) * 1_000).toISOString().slice(0, 19);
  const fraction = nanos.slice(-9).replace(/0+$/, "");
  return `${seconds}${fraction === "" ? "" : `.${fraction}`}Z`;
}
