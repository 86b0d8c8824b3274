/** One Redis command and its arguments. */
export type Command = readonly (string | number)[];

/** One answer, in RESP2 shapes: maps and sets are flat arrays. */
export type Reply = string | number | null | ReplyError | readonly Reply[];

/**
 * Certain refusals that Redis sends as a plain `ERR`: what a script may not do, a long command before a login, and a
 * question about the cluster to a Redis that is in none.
 */
const TOLD_WITHOUT_CODE: readonly (readonly [says: string, code: string])[] = [
  ["The user executing the script can't", "NOPERM"],
  // The same of Valkey.
  ["ACL failure in script", "NOPERM"],
  ["Protocol error: unauthenticated", "NOAUTH"],
  ["cluster support disabled", "NOCLUSTER"],
];

/** Where a node of a cluster sends a command that is not its own: it has run nothing. */
const REDIRECT = /^(?:MOVED|ASK) \d+ (\S*:\d+)$/;

/**
 * Redis answered one command with an error. Only its code (`NOSCRIPT`, `READONLY`, `ERR`, …) is kept, and where it
 * redirects to: the text may repeat the command, with names and addresses in it.
 */
export class ReplyError {
  readonly code: string;
  /** `host:port` of `MOVED` and `ASK`; the host may be empty: the one that was asked. */
  declare readonly target?: string;

  constructor(text: string) {
    const told = TOLD_WITHOUT_CODE.find(([says]) => text.includes(says))?.[1];
    this.code = told ?? /^[A-Za-z]{1,20}\b/.exec(text)?.[0] ?? "ERR";
    const target = REDIRECT.exec(text)?.[1];
    if (target !== undefined) this.target = target;
  }
}

/** A set, hash or list of texts; `undefined` when the answer is something else. */
export function textsOf(reply: Reply | undefined): readonly string[] | undefined {
  const isTexts = Array.isArray(reply) && reply.every((item) => typeof item === "string");
  return isTexts ? (reply as readonly string[]) : undefined;
}

/** What an HTTP answer says of a refusal. */
interface Refusal {
  readonly status?: number;
  /** Secret-free: a sentence of ours. */
  readonly reason?: string;
  readonly pauseMs?: number;
}

/**
 * A pipeline failed as a whole; whether any of it ran is unknown.
 * - `timeout`: no answer in time;
 * - `refused`: no connection could be made, nothing ran;
 * - `broken`: the connection or the request failed on the way;
 * - `answer`: what came back is no answer to a pipeline (a gateway's error page, a refused token).
 *
 * `detail` is one word, a code (`ECONNREFUSED`, `WRONGPASS`), never a text: what client libraries throw may contain
 * commands, addresses and tokens. `reason` is a sentence of ours.
 */
export class LinkError extends Error {
  readonly kind: "timeout" | "refused" | "broken" | "answer";
  readonly detail: string;
  /** Of the HTTP answer that refused it. */
  readonly status: number | undefined;
  /** How long nothing should be asked, ms: what refused it said so. */
  readonly pauseMs: number;

  constructor(kind: LinkError["kind"], detail = "", { status, reason, pauseMs = 0 }: Refusal = {}) {
    const word = detail === "" || /^\w{1,40}$/.test(detail) ? detail : "?";
    const parts = [word, status !== undefined && `HTTP ${status}`, reason].filter(Boolean);
    super(`redis ${kind}${parts.length > 0 ? ` (${parts.join(", ")})` : ""}`);
    this.name = "LinkError";
    this.kind = kind;
    this.detail = word;
    this.status = status;
    this.pauseMs = pauseMs;
  }

  /** What it is counted under: few words, whatever the store says. */
  get label(): string {
    return this.status === undefined ? this.kind : `http_${this.status}`;
  }
}

/**
 * How the Redis driver reaches Redis. A link never repeats a command, never queues while it is not connected, and
 * connects when something is sent: when to try again is the driver's decision.
 */
export interface RedisLink {
  /**
   * Sends commands together and answers each in order. They run in that order, though not as one transaction.
   * @throws LinkError within `timeoutMs`
   */
  send(commands: readonly Command[], timeoutMs: number): Promise<Reply[]>;
  /** Drops the connection, if there is a lasting one: it may be half dead. The next send makes a new one. */
  reset(): void;
  /** Idempotent. Later sends are refused; those in flight end by their deadline. */
  close(): void;
}
