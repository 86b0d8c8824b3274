import { CommandError, Errors } from "../../core/errors.ts";
import { Stats } from "../../core/stats.ts";
import type { Frame } from "../../protocol/codec.ts";
import { Budget, Budgets } from "./budget.ts";

/** Shorter answers are sent at once: they are what anybody may have unread beside them. */
const SHORT_BYTES = 16 * 1024;
/** How often it is looked whether a long answer was read, ms; only while there is one that was not. */
const LOOK_MS = 10;
/** How long an unread answer counts: who does not read takes nothing from others for longer. */
const HELD_MS = 500;

/** Who gets an answer: a session. */
export interface Asker {
  readonly client: string;
  readonly live: boolean;
  /** What it has not read, bytes. */
  readonly bufferedBytes: number;
  send(frame: Frame): void;
}

interface AnswerLimits {
  readonly backpressureBytes: number;
  readonly historyPerUserBytes: number;
  readonly historyBytes: number;
}

interface Unread {
  readonly asker: Asker;
  readonly until: number;
  readonly read: () => void;
}

/**
 * Long answers, lists of members and pages of history, on their way to clients: no more bytes of them are unread than fit,
 * of one connection, one user and the instance; what finds no room waits for its turn. Thousands who ask for the same list
 * at once get it one after the other, and not all copies of it are in memory together.
 */
export class LongAnswers {
  readonly #limits: AnswerLimits;
  readonly #stats: Stats;
  readonly #all: Budget;
  readonly #users: Budgets;
  readonly #unread = new Set<Unread>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(limits: AnswerLimits, stats: Stats) {
    this.#limits = limits;
    this.#stats = stats;
    this.#all = new Budget(limits.historyBytes);
    this.#users = new Budgets(limits.historyPerUserBytes);
  }

  /** The limits were changed. */
  reloaded(): void {
    this.#all.resize(this.#limits.historyBytes);
    this.#users.resize(this.#limits.historyPerUserBytes);
  }

  /** Bytes that are sent, and may not be read yet. */
  get underWay(): number {
    return this.#all.used;
  }

  /**
   * Sends an answer, when there is room for it. Resolves when it was read, or no longer counts.
   * @param quotaKey see `quotaKey`
   * @param length of the frame, about: it is made when its turn comes
   * @throws CommandError notAvailable when it is longer than a connection may have unsent; tooManyRequests when the client
   * has too much unread, or too many wait
   */
  async send(asker: Asker, quotaKey: string, length: number, frame: () => Frame): Promise<void> {
    if (length > this.#limits.backpressureBytes) {
      throw new CommandError(Errors.notAvailable, "the answer is too long for a connection");
    }
    this.#refuseUnread(asker, length);
    if (length < SHORT_BYTES) return asker.send(frame());
    await this.#users.run(quotaKey, length, () =>
      this.#all.run(length, async () => {
        this.#refuseUnread(asker, length);
        asker.send(frame());
        this.#stats.answerBytesUnread = this.#all.used;
        await this.#readBy(asker);
      }),
    );
    this.#stats.answerBytesUnread = this.#all.used;
  }

  /** On top of what the client has not read an answer would break the connection under it. */
  #refuseUnread({ bufferedBytes }: Asker, length: number): void {
    const { backpressureBytes } = this.#limits;
    if (bufferedBytes <= backpressureBytes / 2 && bufferedBytes + length <= backpressureBytes) return;
    if (bufferedBytes === 0) return;
    Stats.bump(this.#stats.rejected, "unread_answers");
    throw new CommandError(Errors.tooManyRequests);
  }

  #readBy(asker: Asker): Promise<void> | undefined {
    if (isRead(asker)) return undefined;
    return new Promise((read) => {
      this.#unread.add({ asker, until: performance.now() + HELD_MS, read });
      this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
    });
  }

  #look(): void {
    const now = performance.now();
    for (const one of this.#unread) {
      if (!isRead(one.asker) && now < one.until) continue;
      this.#unread.delete(one);
      one.read();
    }
    if (this.#unread.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function isRead({ live, bufferedBytes }: Asker): boolean {
  return !live || bufferedBytes < SHORT_BYTES;
}
