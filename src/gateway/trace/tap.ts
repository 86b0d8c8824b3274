import { type Bucket, fullBucket, type Rate, take } from "../../core/limits.ts";
import type { Publication } from "../../core/publication.ts";
import { LEASE_MS, MOST_STEPS, type TapSignal, type TraceStep } from "./request.ts";

/** Most steps and bytes a second that one trace may take of an instance; what is more is counted only. */
const STEPS: Rate = { perSecond: 200, burst: MOST_STEPS };
const BYTES: Rate = { perSecond: 131_072, burst: 262_144 };

/** Longest body of a message that is shown, UTF-16 units of its text; of longer ones the beginning. */
const LONGEST_BODY = 4_096;

/** Whose connection a step is of. */
export interface StepOf {
  readonly client?: string | undefined;
  readonly user?: string | undefined;
  readonly channel?: string | undefined;
}

/** One trace, as an instance serves it: what it is about, and what was seen and not sent yet. */
export class Tap {
  readonly id: string;
  /** Who looks. */
  readonly at: string;
  readonly user: string | undefined;
  readonly channel: string | undefined;
  readonly client: string | undefined;
  /** Bodies are shown. */
  readonly payloads: boolean;
  #expiresAt = 0;
  #steps: TraceStep[] = [];
  #dropped = 0;
  readonly #stepsLeft: Bucket;
  readonly #bytesLeft: Bucket;

  /** @param payloads whether the settings allow bodies to be shown */
  constructor(signal: TapSignal, payloads: boolean, now: number) {
    this.id = signal.id;
    this.at = signal.at;
    this.user = signal.user;
    this.channel = signal.channel;
    this.client = signal.client;
    this.payloads = payloads && signal.payloads === true;
    this.#stepsLeft = fullBucket(STEPS, now);
    this.#bytesLeft = fullBucket(BYTES, now);
    this.renew(now);
  }

  /** Who looks still does. */
  renew(now: number): void {
    this.#expiresAt = now + LEASE_MS;
  }

  isOver(now: number): boolean {
    return now >= this.#expiresAt;
  }

  /** Whether it is about some connections, and not about a channel or an instance as a whole. */
  get ofConnections(): boolean {
    return this.user !== undefined || this.client !== undefined;
  }

  /** Whether a step is shown: what is named must fit, and a step of the connection itself has no channel. */
  fits({ client, user, channel }: StepOf): boolean {
    if (this.client !== undefined && client !== this.client) return false;
    if (this.user !== undefined && user !== this.user) return false;
    if (this.channel === undefined || channel === this.channel) return true;
    return channel === undefined && this.ofConnections;
  }

  /** Takes a step, if there is room for it. */
  see(step: TraceStep, now: number, bytes = 200): void {
    const full = this.#steps.length >= MOST_STEPS;
    if (full || !take(this.#stepsLeft, STEPS, now) || !take(this.#bytesLeft, BYTES, now, bytes))
      this.#dropped++;
    else this.#steps.push(step);
  }

  /** What was seen since the last call; `undefined`: nothing. */
  drain(): { steps: readonly TraceStep[]; dropped: number } | undefined {
    if (this.#steps.length === 0 && this.#dropped === 0) return undefined;
    const seen = { steps: this.#steps, dropped: this.#dropped };
    this.#steps = [];
    this.#dropped = 0;
    return seen;
  }
}

/** What a trace shows of a message; its body where that is allowed, cut if it is long. */
export function shownMessage({ data, offset, timeMs }: Publication, body: boolean) {
  const text = typeof data === "string";
  const facts = { offset, bytes: data.length, ...(timeMs > 0 && { stored_at: timeMs }) };
  if (!body) return facts;
  const cut = data.length > LONGEST_BODY && { cut: true };
  if (text) return { ...facts, data: data.slice(0, LONGEST_BODY), ...cut };
  return { ...facts, b64data: data.subarray(0, LONGEST_BODY).toBase64(), ...cut };
}
