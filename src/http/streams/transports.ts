import { Stats } from "../../core/stats.ts";
import { utf8Encoder } from "../../core/text.ts";
import type { CentrifugeCodec } from "../../protocol/centrifuge/replies.ts";
import type { StreamTransport } from "../../protocol/centrifuge/stream-codecs.ts";
import type { Frame } from "../../protocol/codec.ts";
import { type Subscriber, Topics } from "../../runtime/topics.ts";
import { gzipPiece } from "./gzip.ts";

/** What the stream connections of one instance share. */
export class StreamTransports {
  /** Connections that are streams have no native topics. */
  readonly topics = new Topics<Subscriber>();
  /** A stream with more than this unsent is closed. */
  readonly backpressureBytes: number;
  /** A chunk of a compressed stream that is shorter is sent as it is, bytes. */
  readonly #thresholdBytes: number;
  readonly #stats: Stats;
  #codec: CentrifugeCodec | undefined;
  #frame: Frame = "";
  #chunk: Uint8Array = new Uint8Array(0);
  /** The last chunk that was packed, and how. */
  #plain: Uint8Array | undefined;
  #compressed = false;
  #packed: Uint8Array = new Uint8Array(0);

  constructor(options: {
    readonly backpressureBytes: number;
    readonly stats: Stats;
    readonly thresholdBytes?: number;
  }) {
    this.#thresholdBytes = options.thresholdBytes ?? 0;
    this.backpressureBytes = options.backpressureBytes;
    this.#stats = options.stats;
  }

  begun(transport: StreamTransport): void {
    Stats.bump(this.#stats.streamsBegun, transport);
    Stats.bump(this.#stats.streamsOpen, transport);
  }

  ended(transport: StreamTransport): void {
    Stats.bump(this.#stats.streamsOpen, transport, -1);
  }

  /** The frame as bytes of a stream; made once for all subscribers, who ask for it one after the other. */
  chunk(codec: CentrifugeCodec, frame: Frame): Uint8Array {
    if (codec !== this.#codec || frame !== this.#frame) {
      this.#chunk = chunkOf(codec, frame);
      this.#codec = codec;
      this.#frame = frame;
    }
    return this.#chunk;
  }

  /**
   * A chunk as a piece of compressed streams; made once for all subscribers, too.
   * @param worth false: it is not to be compressed, whatever its length
   */
  packed(chunk: Uint8Array, worth = true): Uint8Array {
    const compress = worth && chunk.length >= this.#thresholdBytes;
    if (chunk !== this.#plain || compress !== this.#compressed) {
      this.#packed = gzipPiece(chunk, compress);
      this.#plain = chunk;
      this.#compressed = compress;
    }
    return this.#packed;
  }
}

/** A frame as bytes of a stream. */
function chunkOf(codec: CentrifugeCodec, frame: Frame): Uint8Array {
  const streamed = codec.streamed(frame);
  return typeof streamed === "string" ? utf8Encoder.encode(streamed) : streamed;
}
