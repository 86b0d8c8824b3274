import { CommandError, ConnectionError, type ErrorCode, Errors } from "../../core/errors.ts";
import type { CALLOUT_KINDS } from "../../core/labels.ts";
import type { Logger } from "../../core/log.ts";
import { Stats } from "../../core/stats.ts";
import { ClaimError } from "../claims.ts";

/** What a service may be asked, by the names of the questions in subjects, addresses and metrics. */
export type Kind = (typeof CALLOUT_KINDS)[number];

/** A service that has decided nothing. */
export class CalloutFailure extends Error {
  /** Label of the metric: `timeout`, `unreachable`, `busy`, `too_long`, `malformed`, `status_<n>`. */
  readonly code: string;
  /** What the client is told. */
  readonly error: ErrorCode;

  /** @param why for the log: nothing of what was sent or answered */
  constructor(code: string, why: string, error: ErrorCode = Errors.internal) {
    super(why);
    this.code = code;
    this.error = error;
  }
}

export interface OutcomesOptions {
  /** How the service is called in metrics: `nats`, or its endpoint's name. */
  readonly to: string;
  /** How it is called in the log. */
  readonly named: (kind: Kind) => Readonly<Record<string, string>>;
  /** Most questions under way at once; further ones are refused. */
  readonly inFlight: number;
  readonly log: Logger;
  readonly stats: Stats;
  /** Unix time, ms. */
  readonly now: () => number;
}

/** Least time between two log lines about one service, ms: a storm of clients must not become one of lines. */
const LOG_INTERVAL_MS = 1_000;

/** What became of the questions to one service: counted, timed and logged. */
export class Outcomes {
  readonly #options: OutcomesOptions;
  #loggedAtMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;
  #underWay = 0;

  constructor(options: OutcomesOptions) {
    this.#options = options;
  }

  /**
   * Asks, and reads the answer.
   * @throws CommandError or ConnectionError: what the service decided, or, where it decided nothing, a temporary one
   */
  async of<T>(kind: Kind, ask: () => Promise<T>): Promise<T> {
    const { stats, inFlight } = this.#options;
    if (this.#underWay >= inFlight) throw this.#failed(kind, tooMany(), undefined);
    const began = performance.now();
    this.#underWay++;
    stats.calloutsUnderWay++;
    try {
      const answer = await ask();
      this.#count(kind, "ok", began);
      return answer;
    } catch (error) {
      throw this.#failed(kind, error, began);
    } finally {
      this.#underWay--;
      stats.calloutsUnderWay--;
    }
  }

  /** What the client is told of an error. @param began absent: it was not asked */
  #failed(kind: Kind, error: unknown, began: number | undefined): unknown {
    if (error instanceof ConnectionError || error instanceof CommandError) {
      this.#count(kind, codeOf(error), began);
      return error;
    }
    const failure =
      error instanceof CalloutFailure
        ? error
        : new CalloutFailure("malformed", error instanceof ClaimError ? error.message : "no answer");
    this.#count(kind, failure.code, began);
    this.#report(kind, failure.message);
    return new CommandError(failure.error, `${kind} callout: ${failure.message}`);
  }

  #count(kind: Kind, code: string, began: number | undefined): void {
    const { to, stats } = this.#options;
    Stats.bump(stats.callouts, `${to} ${kind} ${code}`);
    if (began !== undefined) stats.calloutLatency.observeMs(performance.now() - began, kind, code);
  }

  #report(kind: Kind, why: string): void {
    this.#unlogged++;
    const now = this.#options.now();
    if (now < this.#loggedAtMs + LOG_INTERVAL_MS) return;
    this.#options.log.warn("callout failed", {
      ...this.#options.named(kind),
      why,
      failures: this.#unlogged,
    });
    this.#loggedAtMs = now;
    this.#unlogged = 0;
  }
}

function tooMany(): CalloutFailure {
  return new CalloutFailure("busy", "too many questions are under way", Errors.tooManyRequests);
}

/** What an error is counted as that the client gets as it is. Our own errors are told from those of services. */
function codeOf(error: CommandError | ConnectionError): string {
  if (error instanceof ConnectionError) return "disconnect";
  if (error.error === Errors.timeout) return "timeout";
  const { methodNotFound, brokerUnavailable } = Errors;
  return error.error === methodNotFound || error.error === brokerUnavailable ? "unreachable" : "error";
}
