import { Stats } from "../../core/stats.ts";
import type { Keys } from "./keys.ts";
import type { Command, RedisLink, Reply } from "./link.ts";
import { LinkError, ReplyError, textsOf } from "./link.ts";
import type { Operation } from "./operations.ts";
import { REFUSALS } from "./refusals.ts";
import type { Script } from "./scripts.ts";
import { APPLY } from "./scripts.ts";

/** A script with its keys and arguments. */
export interface ScriptCall {
  readonly script: Script;
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
}

export type Call = Command | ScriptCall;

/** Most keys and arguments of one batch, and UTF-16 units of each in the mean (Upstash refuses requests over 1 MB). */
const MAX_PARTS = 8_192;
const UNITS_PER_PART = 30;
/** What a number is reckoned with. */
const DIGITS = 16;

/** Most calls that wait for the pipeline in flight; beyond, they are given up at once. */
const MAX_WAITING = 50_000;

/** Writes enough for a pipeline of their own. */
const MANY = 256;

/** Pause after a pipeline while only writes wait, ms: under load they go in batches. A question ends it. */
const GATHER_MS = 5;

/** Latency samples kept between two scrapes. */

/** How many pipelines the failure rate is taken over. */
const WINDOW = 20;

interface Write {
  readonly operation: Operation;
  readonly resolve: (digits: string | undefined) => void;
}

interface Ask {
  readonly calls: readonly Call[];
  /** Hashes whose sizes are wanted, of reads that are guarded. */
  readonly hashes?: readonly string[];
  readonly resolve: (replies: readonly Reply[] | undefined) => void;
}

/** Ends each pipeline that has guarded reads: shows whether what they found can be whole. */
export interface Guard {
  /** The call, which also counts these hashes. */
  call(hashes: readonly string[]): ScriptCall;
  /** Reads its answer: the sizes of the hashes; `undefined` when something was lost, or the answer is none. */
  sizes(reply: Reply | undefined): readonly Reply[] | undefined;
}

export interface PipeOptions {
  readonly link: RedisLink;
  readonly keys: Keys;
  readonly timeoutMs: number;
  readonly backstopMs: number;
  /** Most keys and arguments of one batch, default 8,192; less where many pipes share a connection. */
  readonly maxParts?: number | undefined;
  readonly stats: Stats;
  /** The lease the operations are written under. */
  readonly writer: () => { readonly instance: string; readonly holder: string; readonly generation: string };
  readonly guard: Guard;
  /** Redis is failing: it refuses, which once is enough, or is too often without an answer. */
  readonly onFailing: (error: LinkError) => void;
}

/**
 * The way to Redis. What is asked within one tick, while a pipeline is in flight or a moment after it, goes out in the
 * next one: a single pipeline at a time keeps writes in order on links that have no order of their own (HTTP), and makes batches
 * grow with the load. All operations of a pipeline are one script call.
 */
export class Pipe {
  readonly #options: PipeOptions;
  readonly #writes: Write[] = [];
  readonly #asks: Ask[] = [];
  #flying: Promise<void> | undefined;
  /** Ends the pause between two pipelines. */
  #hurry: (() => void) | undefined;
  /** Outcomes of the last pipelines, true for failed. */
  #outcomes: boolean[] = [];

  constructor(options: PipeOptions) {
    this.#options = options;
  }

  /** Queues one operation. `undefined`: not written, as far as is known. Never rejects. */
  write(operation: Operation): Promise<string | undefined> {
    if (this.#writes.length >= MAX_WAITING) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#writes.push({ operation, resolve });
      this.#flying ??= this.#fly();
    });
  }

  /** Queues plain commands and scripts. `undefined`: no answer. Never rejects. */
  ask(calls: readonly Call[]): Promise<readonly Reply[] | undefined> {
    return this.#queue({ calls });
  }

  /**
   * Queues plain commands that read, and hashes to count. One guard for all reads of a pipeline runs behind them.
   * Resolves with the answers, then the sizes; `undefined`: no answer, or something is lost. Never rejects.
   */
  read(calls: readonly Command[], hashes: readonly string[] = []): Promise<readonly Reply[] | undefined> {
    return this.#queue({ calls, hashes });
  }

  #queue(ask: Omit<Ask, "resolve">): Promise<readonly Reply[] | undefined> {
    if (this.#asks.length >= MAX_WAITING) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#asks.push({ ...ask, resolve });
      this.#flying ??= this.#fly();
      this.#hurry?.();
    });
  }

  /** Gives up everything that waits. */
  drop(): void {
    for (const { resolve } of this.#writes.splice(0)) resolve(undefined);
    for (const { resolve } of this.#asks.splice(0)) resolve(undefined);
  }

  /** Forgets past failures. */
  forgive(): void {
    this.#outcomes = [];
  }

  /** Resolves when nothing waits or is in flight. */
  async idle(): Promise<void> {
    this.#hurry?.();
    while (this.#flying) await this.#flying;
  }

  /**
   * Writes operations in as many pipelines as needed, out of turn, each begun by `first`. One result for each
   * operation. @throws LinkError
   */
  async apply(operations: readonly Operation[], first: Call): Promise<string[]> {
    const results: string[] = [];
    const rest = [...operations];
    while (rest.length > 0) {
      const [, answer] = await this.send([
        first,
        this.#applyCall(this.#board(rest, (operation) => operation)),
      ]);
      const texts = textsOf(answer);
      if (!texts) throw new LinkError("answer", "SHAPE");
      results.push(...texts);
    }
    return results;
  }

  /** Sends one pipeline, out of turn. @throws LinkError also when a single command was answered by an error */
  async send(calls: readonly Call[]): Promise<Reply[]> {
    const replies = await this.#exchange(calls);
    for (const reply of replies) if (reply instanceof ReplyError) throw new LinkError("answer", reply.code);
    return replies;
  }

  async #exchange(calls: readonly Call[]): Promise<Reply[]> {
    const { link, timeoutMs, stats } = this.#options;
    const started = performance.now();
    try {
      stats.presenceCommands += calls.length;
      const replies = await link.send(await Promise.all(calls.map(byName)), timeoutMs);
      const unknown = calls.flatMap((call, index) => {
        const reply = replies[index];
        return "script" in call && reply instanceof ReplyError && reply.code === "NOSCRIPT" ? [index] : [];
      });
      if (unknown.length > 0) {
        stats.presenceCommands += unknown.length;
        const again = await link.send(
          unknown.map((index) => byBody(calls[index] as ScriptCall)),
          timeoutMs,
        );
        for (const [position, index] of unknown.entries()) replies[index] = again[position]!;
      }
      const errors = replies.filter((reply) => reply instanceof ReplyError);
      const failed = errors.find(({ code }) => REFUSALS.has(code)) ?? errors[0];
      this.#note(failed && new LinkError("answer", failed.code));
      return replies;
    } catch (error) {
      const failure = error instanceof LinkError ? error : new LinkError("broken", (error as Error).name);
      this.#note(failure);
      throw failure;
    } finally {
      stats.presenceLatency.observeMs(performance.now() - started);
    }
  }

  #note(failure: LinkError | undefined): void {
    const { stats, onFailing } = this.#options;
    this.#outcomes.push(failure !== undefined);
    if (this.#outcomes.length > WINDOW) this.#outcomes.shift();
    if (!failure) return;
    Stats.bump(stats.presenceFailures, failure.label);
    if (failure.kind === "timeout") stats.presenceTimeouts++;
    else stats.presenceErrors++;
    const failures = this.#outcomes.filter(Boolean).length;
    const certain = failure.kind === "refused" || failure.pauseMs > 0 || REFUSALS.has(failure.detail);
    if (certain || (failures > 1 && failures > this.#outcomes.length / 10)) onFailing(failure);
  }

  async #fly(): Promise<void> {
    // Everything of this tick goes along.
    await null;
    while (this.#writes.length + this.#asks.length > 0) {
      await this.#flight();
      if (this.#writes.length < MANY && this.#asks.length === 0) await this.#pause();
    }
    this.#flying = undefined;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#hurry = () => {
        clearTimeout(timer);
        this.#hurry = undefined;
        resolve();
      };
      const timer = setTimeout(this.#hurry, GATHER_MS);
    });
  }

  async #flight(): Promise<void> {
    const writes = this.#board(this.#writes, ({ operation }) => operation);
    const asks = this.#board(this.#asks, ({ calls, hashes = [] }) => ({
      keys: hashes,
      args: calls.flatMap(parts),
    }));
    const apply = writes.length > 0 ? [this.#applyCall(writes.map(({ operation }) => operation))] : [];
    const { guard } = this.#options;
    const isGuarded = asks.some(({ hashes }) => hashes);
    const last = isGuarded ? [guard.call(asks.flatMap(({ hashes = [] }) => hashes))] : [];
    let replies: readonly Reply[] = [];
    try {
      replies = await this.#exchange([...apply, ...asks.flatMap(({ calls }) => calls), ...last]);
    } catch {
      // Counted and acted upon in #note; whoever waits goes on without an answer.
    }
    const results = apply.length > 0 ? textsOf(replies[0]) : undefined;
    for (const [index, { resolve }] of writes.entries()) resolve(results?.[index]);
    const answers = replies.slice(apply.length, replies.length - last.length);
    answerAll(asks, answers, isGuarded ? guard.sizes(replies.at(-1)) : undefined);
  }

  /** Takes from the front of a queue what fits in one pipeline, at least one. */
  #board<T>(queue: T[], loadOf: (item: T) => Load): T[] {
    const room = new Room(this.#options.maxParts ?? MAX_PARTS);
    let count = 0;
    while (count < queue.length && room.take(loadOf(queue[count]!))) count++;
    return queue.splice(0, count);
  }

  #applyCall(operations: readonly Operation[]): ScriptCall {
    const { keys, backstopMs, writer } = this.#options;
    const { instance, holder, generation } = writer();
    const call = {
      script: APPLY,
      keys: [keys.lease(instance), keys.held(holder)],
      args: [generation, backstopMs] as (string | number)[],
    };
    for (const operation of operations) {
      call.keys.push(...operation.keys);
      call.args.push(...operation.args);
    }
    return call;
  }
}

/** Tells everybody who asked. @param sizes what the guard says; `undefined`: nothing that was guarded counts */
function answerAll(
  asks: readonly Ask[],
  replies: readonly Reply[],
  sizes: readonly Reply[] | undefined,
): void {
  let [at, counted] = [0, 0];
  for (const { calls, hashes, resolve } of asks) {
    const own = replies.slice(at, at + calls.length);
    at += calls.length;
    const failed = own.length < calls.length || own.some((reply) => reply instanceof ReplyError);
    const ownSizes = hashes && sizes?.slice(counted, counted + hashes.length);
    counted += hashes?.length ?? 0;
    if (failed || ownSizes?.length !== hashes?.length) resolve(undefined);
    else resolve([...own, ...(ownSizes ?? [])]);
  }
}

/** What a pipeline's size is reckoned by. */
interface Load {
  readonly keys: readonly unknown[];
  readonly args: readonly (string | number)[];
}

class Room {
  readonly #maxParts: number;
  #parts = 0;
  #units = 0;

  constructor(maxParts: number) {
    this.#maxParts = maxParts;
  }

  /** Whether it fits; the first always does. */
  take({ keys, args }: Load): boolean {
    const first = this.#parts === 0;
    this.#parts += 1 + keys.length + args.length;
    for (const arg of args) this.#units += typeof arg === "string" ? arg.length : DIGITS;
    return first || (this.#parts <= this.#maxParts && this.#units <= this.#maxParts * UNITS_PER_PART);
  }
}

function parts(call: Call): readonly (string | number)[] {
  return "script" in call ? [...call.keys, ...call.args] : call;
}

async function byName(call: Call): Promise<Command> {
  return "script" in call
    ? ["EVALSHA", await call.script.sha, call.keys.length, ...call.keys, ...call.args]
    : call;
}

function byBody({ script, keys, args }: ScriptCall): Command {
  return ["EVAL", script.body, keys.length, ...keys, ...args];
}
