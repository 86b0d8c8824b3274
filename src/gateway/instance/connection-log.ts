import { type Bucket, fullBucket, type Rate, take } from "../../core/limits.ts";
import type { LogFields, Logger } from "../../core/log.ts";
import type { Session } from "../session/session.ts";
import { logOf } from "../session/session-log.ts";

/** Lines of one kind: how many more may be written, and how many were left out since the last one. */
interface Pace {
  readonly bucket: Bucket | undefined;
  unsaid: number;
}

/**
 * Says who comes, who is refused and who goes, one line each. When all come at once, a line for each would take more than
 * the connects: above a rate of each kind, lines are left out and counted (`others`, in the next one).
 */
export class ConnectionLog {
  readonly #log: Logger | undefined;
  readonly #rate: Rate | undefined;
  readonly #connected: Pace;
  readonly #refused: Pace;
  readonly #disconnected: Pace;

  /**
   * @param log absent: nobody wants to read it
   * @param perSecond most lines of each kind; 0: no limit
   */
  constructor(log: Logger | undefined, perSecond: number) {
    this.#log = log;
    this.#rate = perSecond > 0 ? { perSecond, burst: perSecond } : undefined;
    [this.#connected, this.#refused, this.#disconnected] = [this.#pace(), this.#pace(), this.#pace()];
  }

  /** A client was let in. */
  connected(session: Session): void {
    if (!this.#may(this.#connected)) return;
    const { identity, handshake, codec } = session;
    this.#say(this.#connected, "connected", session, {
      ip: handshake.ip,
      protocol: codec.name,
      ...(identity.library !== undefined && { library: identity.library }),
    });
  }

  /** A client was not let in. @param message why, for whoever looks after the system */
  refused(session: Session, code: number, message: string): void {
    if (!this.#may(this.#refused)) return;
    this.#say(this.#refused, "connect refused", session, { ip: session.handshake.ip, code, reason: message });
  }

  /** A client that was let in is gone. */
  disconnected(session: Session, code: number, reason: string): void {
    if (!this.#may(this.#disconnected)) return;
    const seconds = Math.round((Date.now() - session.sinceMs) / 1_000);
    this.#say(this.#disconnected, "disconnected", session, { code, reason, seconds });
  }

  #pace(): Pace {
    return { bucket: this.#rate && fullBucket(this.#rate, performance.now()), unsaid: 0 };
  }

  #may(pace: Pace): boolean {
    if (!this.#log) return false;
    if (!pace.bucket || !this.#rate || take(pace.bucket, this.#rate, performance.now())) return true;
    pace.unsaid++;
    return false;
  }

  #say(pace: Pace, message: string, session: Session, fields: LogFields): void {
    const others = pace.unsaid;
    pace.unsaid = 0;
    logOf(this.#log!, session).info(message, others > 0 ? { ...fields, others } : fields);
  }
}
