import type { Msg, MsgHdrs, NatsError } from "nats";
import { utf8Decoder, utf8Encoder } from "../../src/core/text.ts";
import type { Clock } from "./clock.ts";
import { type Headers, isWild, matches } from "./log.ts";
import type { Random } from "./random.ts";

/** A message on its way. */
export interface Wire {
  readonly subject: string;
  /** Subject that a consumer's message shows instead: the one it was stored under. */
  readonly stored?: string;
  readonly reply?: string | undefined;
  /** Status of a message without a body: 404, 503, 204. */
  readonly code?: number;
  readonly headers?: Headers;
  readonly data?: Uint8Array;
}

/** What becomes of live messages on their way to a connection: each a probability. */
export interface Weather {
  lost: number;
  doubled: number;
  late: number;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly version: string;
  readonly weather: Weather;
  /** Takes what the client publishes. */
  readonly take: (from: SimConnection, message: Wire) => void;
  /** Whether the server can be connected to now. */
  readonly open: () => boolean;
}

interface Subscription {
  readonly subject: string;
  readonly callback: (error: NatsError | null, message: Msg) => void;
}

/** What a server has subscribed of one connection. Most of it is one subject each: those are found at once. */
class Subscribed {
  readonly #exact = new Map<string, Set<Subscription>>();
  readonly #wild = new Set<Subscription>();

  add(one: Subscription): void {
    if (isWild(one.subject)) this.#wild.add(one);
    else this.#exact.set(one.subject, (this.#exact.get(one.subject) ?? new Set()).add(one));
  }

  delete(one: Subscription): void {
    const exact = this.#exact.get(one.subject);
    exact?.delete(one);
    if (exact?.size === 0) this.#exact.delete(one.subject);
    this.#wild.delete(one);
  }

  clear(): void {
    this.#exact.clear();
    this.#wild.clear();
  }

  /** Those that get a message of this subject. */
  to(subject: string): Subscription[] {
    const found = [...(this.#exact.get(subject) ?? [])];
    for (const one of this.#wild) if (matches(one.subject, subject)) found.push(one);
    return found;
  }
}

/** Prefix of what streams republish: the only messages that bad weather touches. */
const LIVE = "rtl.";
const ADVISORIES = "$JS.EVENT.";
/** Time a message takes one way, and how much later a late one comes, ms. */
const TRIP_MS = [0.2, 2] as const;
const LATE_MS = [1, 700] as const;
const RECONNECT_MS = [50, 400] as const;

/** A connection of the client library to the simulated server, as far as the driver uses one. */
export class SimConnection {
  readonly info: { readonly version: string; readonly max_payload: number };
  /** Those that the server has; the library sends all that are wanted again when it has reconnected. */
  readonly #subscribed = new Subscribed();
  readonly #wanted = new Set<Subscription>();
  /** Raised whenever what is under way is lost. */
  #life = 0;
  #up = true;
  #closed = false;
  /** What servers say of their streams does not come here. */
  deaf = false;
  /** Kept open by the network: false after {@link cut} until {@link heal}. */
  #whole = true;
  readonly #options: ConnectionOptions;
  readonly #waiting: Wire[] = [];
  /** When the newest message arrives in either direction: what is sent later does not come earlier. */
  #arrival = { out: 0, in: 0 };
  #tell: ((event: { type: string } | undefined) => void) | undefined;
  readonly #told: { type: string }[] = [];
  #resolveClosed!: () => void;
  readonly #over = new Promise<void>((resolve) => {
    this.#resolveClosed = resolve;
  });

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.info = { version: options.version, max_payload: 1024 * 1024 };
  }

  get up(): boolean {
    return this.#up && !this.#closed;
  }

  // ── what the driver calls ────────────────────────────────────────────────────────────────────────────────────────

  publish(
    subject: string,
    payload: Uint8Array | string = "",
    { reply, headers }: { reply?: string; headers?: MsgHdrs } = {},
  ): void {
    if (this.#closed) throw new Error("CONNECTION_CLOSED");
    const data = typeof payload === "string" ? utf8Encoder.encode(payload) : payload.slice();
    this.#send({ subject, reply, headers: headers ? readHeaders(headers) : [], data });
  }

  subscribe(subject: string, { callback }: Pick<Subscription, "callback">) {
    const subscription = { subject, callback };
    // The server has it when it has everything that was sent before.
    this.#wanted.add(subscription);
    if (this.#up) this.#afterTrip("out", () => this.#subscribed.add(subscription));
    const unsubscribe = () => {
      this.#subscribed.delete(subscription);
      this.#wanted.delete(subscription);
    };
    return { unsubscribe, drain: async () => unsubscribe() };
  }

  async request(subject: string, payload: string, { timeout }: { timeout: number }): Promise<Msg> {
    const inbox = `_REQ.${this.#options.random.name(12)}`;
    return await new Promise((resolve, reject) => {
      const done = this.subscribe(inbox, { callback: (_error, message) => resolve(message) });
      this.publish(subject, payload, { reply: inbox });
      this.#options.clock.after(timeout, () => {
        done.unsubscribe();
        reject(new Error("TIMEOUT"));
      });
    });
  }

  async flush(): Promise<void> {
    const life = this.#life;
    await new Promise<void>((resolve, reject) => {
      this.#afterTrip("out", () => this.#afterTrip("in", resolve));
      this.#options.clock.after(2_000, () => reject(new Error("TIMEOUT")));
    });
    if (life !== this.#life) throw new Error("DISCONNECT");
  }

  async *status(): AsyncGenerator<{ type: string }> {
    for (;;) {
      const event =
        this.#told.shift() ??
        (await new Promise<{ type: string } | undefined>((resolve) => {
          this.#tell = resolve;
        }));
      if (!event) return;
      yield event;
    }
  }

  async closed(): Promise<void> {
    await this.#over;
  }

  isClosed(): boolean {
    return this.#closed;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#life++;
    this.#resolveClosed();
    this.#tell?.(undefined);
  }

  // ── what the server and the network do ───────────────────────────────────────────────────────────────────────────

  /** The connection breaks; the client comes back as soon as it can. @param whole false: not before {@link heal} */
  cut(whole: boolean): void {
    this.#whole = whole;
    if (!this.up) return;
    this.#up = false;
    this.#life++;
    this.#event("disconnect");
    this.#retry();
  }

  heal(): void {
    this.#whole = true;
  }

  /** Sends to every subscription that fits. */
  deliver(message: Wire): boolean {
    if (!this.up || (this.deaf && message.subject.startsWith(ADVISORIES))) return false;
    const fitting = this.#subscribed.to(message.subject);
    for (const subscription of fitting) this.#deliverTo(subscription, message);
    return fitting.length > 0;
  }

  #deliverTo(subscription: Subscription, message: Wire): void {
    const { random, weather, clock } = this.#options;
    const arrive = () => {
      if (this.#wanted.has(subscription)) subscription.callback(null, this.#message(message));
    };
    if (!message.subject.startsWith(LIVE)) {
      this.#afterTrip("in", arrive);
      return;
    }
    if (random.chance(weather.lost)) return;
    const late = random.chance(weather.late);
    const doubled = random.chance(weather.doubled);
    const life = this.#life;
    const later = () => {
      if (life === this.#life) arrive();
    };
    if (late) clock.after(random.int(...LATE_MS), later);
    else this.#afterTrip("in", arrive);
    if (doubled) clock.after(random.int(...LATE_MS), later);
  }

  #send(message: Wire): void {
    if (!this.#up) {
      this.#waiting.push(message);
      return;
    }
    this.#afterTrip("out", () => this.#options.take(this, message));
  }

  #afterTrip(way: "out" | "in", run: () => void): void {
    const { clock, random } = this.#options;
    const life = this.#life;
    const [least, most] = TRIP_MS;
    const at = Math.max(this.#arrival[way], clock.now + least + random.next() * (most - least));
    this.#arrival[way] = at;
    clock.after(at - clock.now, () => {
      if (life === this.#life) run();
    });
  }

  #retry(): void {
    const { clock, random, open } = this.#options;
    clock.after(random.int(...RECONNECT_MS), () => {
      if (this.#closed || this.#up) return;
      if (!this.#whole || !open()) {
        this.#retry();
        return;
      }
      this.#up = true;
      this.#life++;
      this.#arrival = { out: clock.now, in: clock.now };
      this.#subscribed.clear();
      this.#afterTrip("out", () => {
        for (const one of this.#wanted) this.#subscribed.add(one);
      });
      for (const message of this.#waiting.splice(0)) this.#send(message);
      this.#event("reconnect");
    });
  }

  #event(type: string): void {
    if (this.#tell) {
      const tell = this.#tell;
      this.#tell = undefined;
      tell({ type });
    } else this.#told.push({ type });
  }

  #message({ subject, stored, reply, code = 0, headers = [], data = new Uint8Array() }: Wire): Msg {
    const text = () => utf8Decoder.decode(data);
    return {
      subject: stored ?? subject,
      reply,
      data,
      headers: {
        code,
        *[Symbol.iterator]() {
          for (const [key, value] of headers) yield [key, [value]];
        },
      },
      string: text,
      json: () => JSON.parse(text()),
      respond: (body?: string) => {
        if (reply) this.publish(reply, body ?? "");
        return true;
      },
    } as unknown as Msg;
  }
}

/** Reads headers as they go over the wire: the driver has classes of its own for them. */
function readHeaders(headers: MsgHdrs): Headers {
  const bytes = (headers as unknown as { encode(): Uint8Array }).encode();
  return utf8Decoder
    .decode(bytes)
    .split("\r\n")
    .slice(1)
    .filter((line) => line.includes(":"))
    .map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
    });
}
