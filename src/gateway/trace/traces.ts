import { CommandError, Errors } from "../../core/errors.ts";
import { LEASE_MS, type TapAnswer, type TapSignal, type TraceBatch, type TraceRequest } from "./request.ts";

/** Most traces that are looked at through one instance. */
const MOST_TRACES = 16;

/** How often instances are told that somebody still looks, ms: two may be lost. */
const RENEW_MS = LEASE_MS / 3;

/** Who is looked at. */
export interface TraceState {
  /** Instances that send what they see. */
  readonly instances: readonly string[];
  /** Instances that serve too many traces already. */
  readonly busy: readonly string[];
  /** Some instances may not have answered. */
  readonly partial: boolean;
  /** Bodies of messages are shown by all of them. */
  readonly payloads: boolean;
}

/** Whoever looks at a trace. No method throws. */
export interface TraceListener {
  /** At the begin, and when other instances take part. */
  state(state: TraceState): void;
  batch(batch: TraceBatch): void;
  /** The instance that one looks through closes. */
  closed(): void;
}

/** What traces need of their instance. */
export interface TracesParts {
  readonly instance: string;
  /** Asks every instance, or one. */
  ask(signal: TapSignal): Promise<{ answers: readonly TapAnswer[]; partial: boolean }>;
  /** Tells every instance, or one, that nobody looks any more. */
  untap(id: string, instance: string | undefined): void;
}

/** Traces that are looked at through this instance, of all instances. */
export class Traces {
  readonly #parts: TracesParts;
  readonly #open = new Map<string, TraceListener>();
  readonly #renewals = new Map<string, ReturnType<typeof setInterval>>();

  constructor(parts: TracesParts) {
    this.#parts = parts;
  }

  /** Begins one. Returns its end, which is idempotent. @throws CommandError limitExceeded */
  async open(request: TraceRequest, listener: TraceListener): Promise<() => void> {
    if (this.#open.size >= MOST_TRACES)
      throw new CommandError(
        Errors.limitExceeded,
        `${MOST_TRACES} traces are looked at through this instance`,
      );
    const id = crypto.randomUUID();
    const signal: TapSignal = { ...request, id, at: this.#parts.instance };
    let known = "";
    const ask = async () => {
      const state = await this.#ask(signal);
      if (!this.#open.has(id) || known === JSON.stringify(state)) return;
      known = JSON.stringify(state);
      listener.state(state);
    };
    this.#open.set(id, listener);
    this.#renewals.set(
      id,
      setInterval(() => void ask().catch(() => {}), RENEW_MS),
    );
    try {
      await ask();
    } catch (error) {
      this.#end(id, request.instance);
      throw error;
    }
    return () => this.#end(id, request.instance);
  }

  /** What an instance has seen. */
  receive(batch: TraceBatch): void {
    this.#open.get(batch.id)?.batch(batch);
  }

  close(): void {
    for (const [id, listener] of [...this.#open]) {
      this.#end(id, undefined);
      listener.closed();
    }
  }

  async #ask(signal: TapSignal): Promise<TraceState> {
    const { answers: told, partial } = await this.#parts.ask(signal);
    const serving = told
      .filter(({ busy }) => !busy)
      .toSorted((one, other) => (one.instance < other.instance ? -1 : 1));
    return {
      instances: serving.map(({ instance }) => instance),
      busy: told.filter(({ busy }) => busy).map(({ instance }) => instance),
      partial,
      payloads: serving.length > 0 && serving.every(({ payloads }) => payloads),
    };
  }

  #end(id: string, instance: string | undefined): void {
    clearInterval(this.#renewals.get(id));
    this.#renewals.delete(id);
    if (this.#open.delete(id)) this.#parts.untap(id, instance);
  }
}
