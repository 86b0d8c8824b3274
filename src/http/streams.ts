import type { Codec, Frame } from "../protocol/codec.ts";
import type { StreamTransport } from "../protocol/streams.ts";
import { Topics } from "../runtime/topics.ts";
import { chunkOf, type StreamSocket } from "./stream-socket.ts";

/** What the stream connections of one instance share. */
export class Streams {
  /** Connections that are streams have no native topics. */
  readonly topics = new Topics<StreamSocket>();
  /** A stream with more than this unsent is closed. */
  readonly backpressureBytes: number;
  /** Open streams by transport. */
  readonly open = new Map<StreamTransport, number>();
  #codec: Codec | undefined;
  #frame: Frame = "";
  #chunk: Uint8Array = new Uint8Array(0);

  constructor(options: { backpressureBytes: number }) {
    this.backpressureBytes = options.backpressureBytes;
  }

  count(transport: StreamTransport, by: 1 | -1): void {
    this.open.set(transport, (this.open.get(transport) ?? 0) + by);
  }

  /** The frame as bytes of a stream; made once for all subscribers, who ask for it one after the other. */
  chunk(codec: Codec, frame: Frame): Uint8Array {
    if (codec !== this.#codec || frame !== this.#frame) {
      this.#chunk = chunkOf(codec, frame);
      this.#codec = codec;
      this.#frame = frame;
    }
    return this.#chunk;
  }
}
