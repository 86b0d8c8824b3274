import type { Codec, Frame } from "../protocol/codec.ts";
import type { Session } from "./session.ts";

/** Sends one frame to every socket subscribed to a topic: the runtime's native publish. */
export interface Fanout {
  publish(topic: string, frame: Frame): void;
}

/**
 * The local subscribers of one channel that speak one codec. One member is sent to directly; from the second on they
 * share a native topic (a topic of its own costs a connection about 1 KB, and most inboxes have one reader).
 */
export class Audience {
  readonly codec: Codec;
  readonly members = new Set<Session>();
  readonly #topic: string;
  #mode: "direct" | "topic" = "direct";

  constructor(codec: Codec, topic: string) {
    this.codec = codec;
    this.#topic = topic;
  }

  /** From now on the session gets what is published here, in program order with what is sent to it. */
  add(session: Session): void {
    if (this.members.has(session)) return;
    this.members.add(session);
    if (this.#mode === "topic") session.subscribeTopic(this.#topic);
    else if (this.members.size > 1) {
      this.#mode = "topic";
      for (const member of this.members) member.subscribeTopic(this.#topic);
    }
  }

  delete(session: Session): void {
    if (!this.members.delete(session)) return;
    if (this.#mode === "topic") session.unsubscribeTopic(this.#topic);
    if (this.members.size === 0) this.#mode = "direct";
  }

  publish(fanout: Fanout, frame: Frame): void {
    if (this.#mode === "topic") fanout.publish(this.#topic, frame);
    else for (const member of this.members) member.send(frame);
  }
}
