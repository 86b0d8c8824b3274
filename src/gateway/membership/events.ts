import type { EventRecorder } from "../../broker/broker.ts";
import { JsonText } from "../../core/json-value.ts";
import type { Audit, EventFields, EventKind } from "../../events/shapes.ts";
import type { ConnectionRecord } from "../../presence/presence.ts";
import type { MembershipListener } from "./listener.ts";

/** Where an event comes from: itself for a live instance, the dead one when a survivor reports for it. */
interface Source {
  readonly instance: string;
  readonly region: string;
}

/**
 * Publishes events for the business cluster, `rtevt.<kind>`: JSON objects with `type`, `timeMs`, `instance`, `region` and what
 * the kind adds. At least once; the message id makes repetitions recognisable.
 */
export class EventPublisher {
  readonly #broker: EventRecorder;
  readonly #own: Source;
  readonly #listener: MembershipListener;

  /** @param listener told the same of channels */
  constructor(broker: EventRecorder, own: Source, listener: MembershipListener) {
    this.#broker = broker;
    this.#listener = listener;
    this.#own = { instance: own.instance, region: own.region };
  }

  connected(connection: ConnectionRecord): void {
    this.#emit("connect", connection, `connect:${connection.client}`);
  }

  /** @param code the close code; 0 when the instance died */
  disconnected(connection: ConnectionRecord, code: number, reason: string): void {
    this.#emit("disconnect", { ...connection, code, reason }, `disconnect:${connection.client}`);
  }

  /** First connection of the user in the channel. */
  joined(channel: string, user: string, client: string): void {
    this.#emit("join", { channel, user, client });
    this.#listener.joined(channel, user);
  }

  /** Last connection of the user in the channel. */
  left(channel: string, user: string, client: string): void {
    this.#emit("leave", { channel, user, client });
    this.#listener.left(channel, user);
  }

  occupied(channel: string): void {
    this.#emit("occupied", { channel });
    this.#listener.occupied(channel);
  }

  vacated(channel: string): void {
    this.#emit("vacated", { channel });
    this.#listener.vacated(channel);
  }

  /** Somebody took a right or gave it back, or did something else that operators answer for. */
  audited(audit: Audit): void {
    this.#emit("audit", audit);
  }

  /** A client's `send`, its data as it was written. */
  message(connection: ConnectionRecord, data: string): void {
    this.#emit("message", { ...connection, data: new JsonText(data) });
  }

  /** A {@link ConnectionRecord} has an instance of its own, which goes first. */
  #emit<K extends EventKind>(kind: K, fields: EventFields<K>, id?: string): void {
    this.#broker.emit(kind, { type: kind, timeMs: Date.now(), ...this.#own, ...fields }, id);
  }
}
