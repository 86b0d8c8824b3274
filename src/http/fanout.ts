import type { Fanout } from "../gateway/channel/audience.ts";
import type { Frame } from "../protocol/codec.ts";
import type { Server } from "../runtime/runtime.ts";
import type { StreamTransports } from "./streams/transports.ts";

/**
 * Publishes frames to topics. The subscribers of one topic are either all WebSockets, for which the runtime does the
 * work, or all streams: the codecs of the two differ, and with them the topics.
 */
export class TransportFanout implements Fanout {
  readonly #streams: StreamTransports;
  #sockets: Pick<Server, "publish"> | undefined;

  constructor(streams: StreamTransports) {
    this.#streams = streams;
  }

  /** Names the server of the WebSockets, which is started last: before, there are none. */
  serveSockets(server: Pick<Server, "publish">): void {
    this.#sockets = server;
  }

  /** Returns false when the topic has no subscriber, or one of them had no room and is being closed. */
  publish(topic: string, frame: Frame, compress?: boolean): boolean {
    const { topics } = this.#streams;
    if (topics.size > 0 && topics.has(topic)) return topics.publish(topic, frame, undefined, compress);
    return this.#sockets?.publish(topic, frame, compress) ?? false;
  }
}
