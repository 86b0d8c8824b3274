import { setTimeout as sleep } from "node:timers/promises";
import { Centrifuge, State, SubscriptionState } from "centrifuge";
import { failover } from "../../console/nearest.js";
import type { Checker } from "./checker.ts";

const DAY_MS = 86_400_000;

export interface StockClientsOptions {
  /** WebSocket addresses. Clients start at each in turn, and move to the next when one cannot be reached. */
  readonly endpoints: readonly string[];
  readonly clients: number;
  /** Clients are assigned to channels in turn. */
  readonly channels: readonly string[];
  /** Token of client number n; "" for none. */
  readonly token: (number: number) => string;
  readonly checker: Checker;
  /** Delays of reconnects, ms; default the SDK's own. */
  readonly delaysMs?: readonly [least: number, most: number];
}

/** A group of broken connections: those that broke within {@link CALM_MS} of each other. */
export interface Disturbance {
  /** `performance.now()` of its first broken connection. */
  readonly at: number;
  /** Clients that lost their connection. */
  readonly clients: number;
  /** Times from losing the connection to the next delivery, ms, ascending; without clients that have had none yet. */
  readonly backMs: readonly number[];
}

interface OpenDisturbance extends Disturbance {
  clients: number;
  lastAt: number;
  readonly backMs: number[];
}

interface Member {
  readonly centrifuge: Centrifuge;
  readonly channel: string;
  /** Its lost connection, until the next delivery. */
  hit?: { readonly at: number; readonly of: OpenDisturbance } | undefined;
  away: boolean;
  /** Id of its connection. */
  id: string;
}

/** After this long without a broken connection, the next one starts a new disturbance. */
const CALM_MS = 2_000;
const POLL_MS = 10;

/** Stock clients with one watched subscription each. */
export class StockClients implements Disposable {
  readonly channels: readonly string[];
  readonly #members: readonly Member[];
  readonly #disturbances: OpenDisturbance[] = [];
  readonly #beganAt = performance.now();
  /** Index: seconds since the start. */
  readonly #gone: number[] = [];
  readonly #back: number[] = [];
  readonly #codes = new Map<string, number>();
  /** Connections remade so far. */
  reconnects = 0;
  /** The last error an SDK reported; "" for none. */
  lastError = "";
  #ending = false;

  constructor(options: StockClientsOptions) {
    const { clients, channels } = options;
    this.channels = channels;
    this.#members = Array.from({ length: clients }, (_, number) => this.#member(options, number));
  }

  /** Connects all clients, `perSecond` a second. */
  async connect(perSecond = 500, timeoutMs = 30_000): Promise<void> {
    for (const [number, { centrifuge }] of this.#members.entries()) {
      centrifuge.connect();
      if (number % 10 === 9) await sleep(10_000 / perSecond);
    }
    const end = performance.now() + timeoutMs;
    while (this.subscribed < this.#members.length && performance.now() < end) await sleep(POLL_MS);
  }

  get size(): number {
    return this.#members.length;
  }

  /** Clients that are connected now. */
  get connected(): number {
    return this.#members.filter(({ centrifuge }) => centrifuge.state === State.Connected).length;
  }

  /** Clients that are subscribed now. */
  get subscribed(): number {
    return this.#members.filter(
      ({ centrifuge, channel }) =>
        centrifuge.state === State.Connected &&
        centrifuge.getSubscription(channel)?.state === SubscriptionState.Subscribed,
    ).length;
  }

  /** Connection ids of a channel's clients, sorted. */
  membersOf(channel: string): string[] {
    return this.#members
      .filter((member) => member.channel === channel)
      .map(({ id }) => id)
      .sort();
  }

  get disturbances(): readonly Disturbance[] {
    return this.#disturbances;
  }

  /** Connections lost and remade in each second since the start. */
  get rhythm(): { readonly gone: readonly number[]; readonly back: readonly number[] } {
    const length = Math.max(this.#gone.length, this.#back.length);
    const whole = (counts: readonly number[]) => Array.from({ length }, (_, second) => counts[second] ?? 0);
    return { gone: whole(this.#gone), back: whole(this.#back) };
  }

  /** Full seconds since the start: the current index in {@link rhythm}. */
  get second(): number {
    return Math.floor((performance.now() - this.#beganAt) / 1_000);
  }

  /** Connections lost and remade in the last full second. */
  get lastSecond(): { readonly gone: number; readonly back: number } {
    const second = this.second - 1;
    return { gone: this.#gone[second] ?? 0, back: this.#back[second] ?? 0 };
  }

  /** Reasons of lost connections, such as "3001 drain", with their counts. */
  get reasons(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#codes);
  }

  [Symbol.dispose](): void {
    this.#ending = true;
    for (const { centrifuge } of this.#members) centrifuge.disconnect();
  }

  #member({ endpoints, channels, token, checker, delaysMs }: StockClientsOptions, number: number): Member {
    const start = number % endpoints.length;
    const rotated = [...endpoints.slice(start), ...endpoints.slice(0, start)];
    const centrifuge = new Centrifuge(rotated[0]!, {
      // It stays where it is, so that a return is one of the system's.
      websocket: failover(rotated, { homeMs: DAY_MS }),
      ...(token(number) && { getToken: async () => token(number) }),
      ...(delaysMs && { minReconnectDelay: delaysMs[0], maxReconnectDelay: delaysMs[1] }),
    });
    const channel = channels[number % channels.length]!;
    const member: Member = { centrifuge, channel, away: false, id: "" };
    let known = false;
    centrifuge.on("connected", ({ client }) => {
      member.id = client;
      if (known) this.#returned(member);
      known = true;
    });
    centrifuge.on("connecting", ({ code, reason }) => {
      if (known) this.#lost(member, `${code} ${reason}`);
    });
    centrifuge.on("disconnected", ({ code, reason }) => {
      if (!this.#ending) this.#lost(member, `${code} ${reason}`);
    });
    centrifuge.on("error", ({ error }) => this.#erred(error));
    const subscription = centrifuge.newSubscription(channel);
    subscription.on("error", ({ error }) => this.#erred(error));
    checker.watch(`client ${number}`, subscription);
    subscription.on("publication", () => this.#heard(member));
    subscription.subscribe();
    return member;
  }

  #lost(member: Member, reason: string): void {
    if (member.away) return;
    member.away = true;
    const at = performance.now();
    this.#count(this.#gone, at);
    this.#codes.set(reason, (this.#codes.get(reason) ?? 0) + 1);
    let of = this.#disturbances.at(-1);
    if (!of || at - of.lastAt > CALM_MS) {
      of = { at, lastAt: at, clients: 0, backMs: [] };
      this.#disturbances.push(of);
    }
    of.lastAt = at;
    of.clients++;
    member.hit = { at, of };
  }

  #returned(member: Member): void {
    member.away = false;
    this.reconnects++;
    this.#count(this.#back, performance.now());
  }

  #heard(member: Member): void {
    if (!member.hit) return;
    const { at, of } = member.hit;
    member.hit = undefined;
    of.backMs.push(performance.now() - at);
    of.backMs.sort((a, b) => a - b);
  }

  #erred({ code, message }: { readonly code: number; readonly message: string }): void {
    this.lastError = `${code} ${message}`;
  }

  #count(counts: number[], at: number): void {
    const second = Math.floor((at - this.#beganAt) / 1_000);
    counts[second] = (counts[second] ?? 0) + 1;
  }
}
