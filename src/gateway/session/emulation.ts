import type { Signals } from "../../broker/broker.ts";
import { INSTANCE_PATTERN } from "../../core/subject.ts";
import { traceHeaders } from "../../core/trace-context.ts";
import { type From, type Tracing, under } from "../../core/tracing.ts";
import type { Frame } from "../../protocol/codec.ts";
import type { EmulatedCommands, EmulationOutcome } from "../gateway.ts";
import type { Session } from "./session.ts";

/** How long another instance may take to say that it has the commands, ms. */
const FORWARD_MS = 2_000;

/** Most requests on their way to other instances at once: what they hold in memory is bounded by it. */
const MAX_FORWARDS = 1_024;

/** Most of them from one address: it cannot take every place, whatever it sends. Offices share an address, too. */
const MAX_FORWARDS_PER_ADDRESS = 128;

interface EmulationDeps {
  readonly instance: string;
  readonly broker: Signals;
  readonly tracing?: Tracing | undefined;
}

/**
 * Brings commands that came in requests of their own to their connections, on whatever instance those are: no request
 * has to find its way to the instance that has the stream. Commands of one connection keep the order in which this
 * instance got them.
 */
export class Emulation {
  readonly #instance: string;
  readonly #broker: Signals;
  readonly #tracing: Tracing | undefined;
  /** Connections of this instance by their secret names. */
  readonly #sessions = new Map<string, Session>();
  #forwards = 0;
  /** Those of each address; never more entries than there are forwards. */
  readonly #forwardsBy = new Map<string, number>();

  constructor({ instance, broker, tracing }: EmulationDeps) {
    this.#tracing = tracing;
    this.#instance = instance;
    this.#broker = broker;
  }

  opened(session: Session): void {
    if (session.handshake.session) this.#sessions.set(session.handshake.session, session);
  }

  ended(session: Session): void {
    if (session.handshake.session) this.#sessions.delete(session.handshake.session);
  }

  /** The connection of this instance that has a secret name. */
  find(session: string): Session | undefined {
    return this.#sessions.get(session);
  }

  /** @param address what limits of an address count the request under */
  async emulate({ node, session, data, from }: EmulatedCommands, address: string): Promise<EmulationOutcome> {
    if (node === this.#instance) return this.deliver(session, data, from) ? "delivered" : "unknown";
    if (!INSTANCE_PATTERN.test(node)) return "unknown";
    const own = this.#forwardsBy.get(address) ?? 0;
    if (own >= MAX_FORWARDS_PER_ADDRESS) return "limited";
    if (this.#forwards >= MAX_FORWARDS) return "busy";
    this.#forwards++;
    this.#forwardsBy.set(address, own + 1);
    try {
      const [answer] = await this.#broker.survey(
        "emulate",
        {
          session,
          ...(typeof data === "string" ? { data } : { b64data: data.toBase64() }),
          ...traceHeaders(from?.context),
        },
        { to: { instance: node }, expect: 1, timeoutMs: FORWARD_MS },
      );
      return answer === true ? "delivered" : "unknown";
    } finally {
      this.#forwards--;
      const left = this.#forwardsBy.get(address)! - 1;
      if (left > 0) this.#forwardsBy.set(address, left);
      else this.#forwardsBy.delete(address);
    }
  }

  /** Hands commands to a connection of this instance. Returns false when there is none of that name. */
  deliver(session: string, data: Frame, from?: From): boolean {
    const found = this.#sessions.get(session);
    if (found) under(this.#tracing, from, () => found.message(undefined, data));
    return found !== undefined;
  }
}
