import type { Tally } from "../../tally.ts";
import { expected, type Layout } from "../layout.ts";
import type { Client } from "./client.ts";
import { type Body, FIRST_ID, type Message } from "./dialect.ts";
import { Sequence } from "./sequence.ts";

/** Accounts of one worker: what its clients have received and published, counted in the tally. */
export class Ledger {
  readonly #tally: Tally;
  /** Unanswered publishes, by id. */
  readonly #unanswered = new Map<number, Body>();
  #nextId = FIRST_ID;

  constructor(tally: Tally) {
    this.#tally = tally;
  }

  received(client: Client, message: Message, receivedMs: number): void {
    const { n, dueMs, from, warm, offset } = message;
    const { counts } = this.#tally;
    client.offset = offset || client.offset;
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
