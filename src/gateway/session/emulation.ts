import type { Signals } from "../../broker/broker.ts";
import { INSTANCE_PATTERN } from "../../core/subject.ts";
import type { Frame } from "../../protocol/codec.ts";
import type { EmulatedCommands, EmulationOutcome } from "../gateway.ts";
import type { Session } from "./session.ts";

/** How long another instance may take to say that it has the commands, ms. */
const FORWARD_MS = 2_000;

/** Most requests on their way to other instances at once: what they hold in memory is bounded by it. */
const MAX_FORWARDS = 1_024;

/**
 * Brings commands that came in requests of their own to their connections, on whatever instance those are: no request
 * has to find its way to the instance that has the stream. Commands of one connection keep the order in which this
 * instance got them.
 */
export class Emulation {
  readonly #instance: string;
  readonly #broker: Signals;
  /** Connections of this instance by their secret names. */
  readonly #sessions = new Map<string, Session>();
  #forwards = 0;

  constructor({ instance, broker }: { instance: string; broker: Signals }) {
    this.#instance = instance;
    this.#broker = broker;
  }

  opened(session: Session): void {
    if (session.handshake.session) this.#sessions.set(session.handshake.session, session);
  }

  ended(session: Session): void {
    if (session.handshake.session) this.#sessions.delete(session.handshake.session);
  }

  async emulate({ node, session, data }: EmulatedCommands): Promise<EmulationOutcome> {
    if (node === this.#instance) return this.deliver(session, data) ? "delivered" : "unknown";
    if (!INSTANCE_PATTERN.test(node)) return "unknown";
    if (this.#forwards >= MAX_FORWARDS) return "busy";
    this.#forwards++;
    try {
      const [answer] = await this.#broker.survey(
        "emulate",
        typeof data === "string" ? { session, data } : { session, b64data: data.toBase64() },
        { to: { instance: node }, expect: 1, timeoutMs: FORWARD_MS },
      );
      return answer === true ? "delivered" : "unknown";
    } finally {
      this.#forwards--;
    }
  }

  /** Hands commands to a connection of this instance. Returns false when there is none of that name. */
  deliver(session: string, data: Frame): boolean {
    const found = this.#sessions.get(session);
    found?.message(undefined, data);
    return found !== undefined;
  }
}
