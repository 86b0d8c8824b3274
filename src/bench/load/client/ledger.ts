import type { Tally } from "../../tally.ts";
import { expected, type Layout } from "../layout.ts";
import type { Client } from "./client.ts";
import { type Body, FIRST_ID, type Message } from "./dialect.ts";
import { Sequence } from "./sequence.ts";

/** A publisher's timer may be this early. */
const EARLY_MS = 2;

/** Accounts of one worker: what its clients have received and published, counted in the tally. */
export class Ledger {
  readonly #tally: Tally;
  /** Unanswered publishes, by id. */
  readonly #unanswered = new Map<number, Body>();
  #nextId = FIRST_ID;
  /** Time between two messages of the run's publisher while clients come and go, ms; 0 while nobody does. */
  everyMs = 0;
  /** When its last message was due. */
  #lastDueMs = 0;

  constructor(tally: Tally) {
    this.#tally = tally;
  }

  received(client: Client, message: Message, receivedMs: number): void {
    const { n, dueMs, from, warm, offset } = message;
    const { counts } = this.#tally;
    client.offset = offset || client.offset;
    if (from === undefined) {
      this.#lastDueMs = Math.max(this.#lastDueMs, dueMs);
      if (this.everyMs > 0 && client.service.newest === 0) this.#begin(client, message);
    }
    const taken = sequenceOf(client, from).take(n);
    if (taken === "duplicate") {
      counts.duplicates++;
      return;
    }
    if (taken === "late") counts.disorder++;
    client.received++;
    if (dueMs < client.joinedMs) counts.replayed++;
    // With many publishers no message can be matched to its last receiver: only the run's own publisher has unique
    // numbers.
    const timed = warm !== true && dueMs >= client.joinedMs;
    this.#tally.received(from === undefined ? n : 0, dueMs, receivedMs, timed);
  }

  /** A client is about to publish. @returns the id of its command */
  publishing(body: Body): number {
    const id = this.#nextId++;
    this.#unanswered.set(id, body);
    this.#tally.firstPublishMs ||= body.dueMs;
    return id;
  }

  published(id: number, nowMs: number): void {
    const body = this.#answer(id);
    if (body) this.#tally.published(body.dueMs, nowMs, body.warm !== true);
  }

  /** @returns whether it was a publish; anything else that is refused ends a client */
  refused(id: number, reason: string): boolean {
    if (this.#answer(id) === undefined) return false;
    this.#tally.ended("refused", reason);
    return true;
  }

  /** Counts what is missing: answers, and messages, given that every publisher has published `each`. */
  settle(clients: readonly Client[], layout: Layout, each: number): void {
    const { counts } = this.#tally;
    for (const { number, received } of clients) {
      counts.lost += Math.max(0, expected(layout, number, each) - received);
    }
    counts.unanswered += this.#unanswered.size;
    this.#unanswered.clear();
  }

  /** Counts what the chains of numbers lack, given that `newest` was sent to everybody who is there. */
  settleChains(clients: readonly Client[], newest: number): void {
    for (const { service, state, joinedMs } of clients) {
      this.#tally.counts.lost += service.missing;
      if (state !== "joined") continue;
      // Somebody new who has not got a single one: what came after it.
      const after = Math.ceil((this.#lastDueMs - joinedMs - EARLY_MS) / this.everyMs);
      this.#tally.counts.lost += service.newest > 0 ? newest - service.newest : Math.max(0, after);
    }
  }

  /** Makes a client somebody new, who has seen nothing. */
  renew(client: Client): void {
    this.#tally.counts.lost += client.service.missing;
    client.service = new Sequence();
    client.life++;
    client.epoch = "";
    client.offset = client.received = 0;
  }

  /** The first message of somebody new: what was due between its joining and this one is missing. */
  #begin(client: Client, { n, dueMs }: Message): void {
    const missed = Math.max(0, Math.floor((dueMs - client.joinedMs - EARLY_MS) / this.everyMs));
    client.service = new Sequence(Math.max(0, n - 1 - missed));
  }

  #answer(id: number): Body | undefined {
    const body = this.#unanswered.get(id);
    this.#unanswered.delete(id);
    return body;
  }
}

function sequenceOf(client: Client, from: number | undefined): Sequence {
  if (from === undefined) return client.service;
  client.peers ??= new Map();
  let sequence = client.peers.get(from);
  if (!sequence) {
    sequence = new Sequence();
    client.peers.set(from, sequence);
  }
  return sequence;
}
