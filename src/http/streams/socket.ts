import { Buffer } from "node:buffer";
import { type CloseCode, Closes } from "../../core/errors.ts";
import { utf8Encoder } from "../../core/text.ts";
import type { CentrifugeCodec } from "../../protocol/centrifuge/replies.ts";
import type { StreamTransport } from "../../protocol/centrifuge/stream-codecs.ts";
import type { Frame } from "../../protocol/codec.ts";
import { type RequestContext, SLOW_READER, type Socket, type SocketHandler } from "../../runtime/runtime.ts";
import { EventIds } from "./event-ids.ts";
import { GZIP_HEAD, GzipSum } from "./gzip.ts";
import type { StreamTransports } from "./transports.ts";

/** Silence after which the connection of an ended stream is closed, s: the usual one of idle HTTP connections. */
const ENDED_IDLE_SECONDS = 10;
/** The same for one whose client does not read, s: it is to go at once. */
const CUT_OFF_IDLE_SECONDS = 1;

/** Most bytes handed to the runtime at a time: what it holds is not counted here. */
const WRITE_BYTES = 65_536;

/** More than the limit may wait so many ms, and so many times the limit: a burst alone is no slow reader. */
const PATIENCE_MS = 1_000;
const BURST = 4;

/** How a stream speaks. */
export interface StreamKind {
  readonly transport: StreamTransport;
  readonly codec: CentrifugeCodec;
  /** Its body is compressed, each frame for itself. */
  readonly gzip: boolean;
}

/**
 * A connection whose frames leave as the endless body of an HTTP answer; what its client sends comes in requests of its
 * own, and reaches the handler elsewhere. It keeps its own queue and gives the runtime something only when that asks,
 * which is what back-pressure is here: both runtimes ask when the last piece has left their hands.
 */
export class StreamSocket implements Socket, UnderlyingDefaultSource<Uint8Array> {
  data: SocketHandler;
  readonly #codec: CentrifugeCodec;
  readonly #context: RequestContext;
  readonly #streams: StreamTransports;
  readonly #transport: StreamTransport;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #queue: Uint8Array[] = [];
  #queued = 0;
  /** When the oldest of the queue came, ms of the monotonic clock. */
  #queuedAt = 0;
  /** The runtime has asked for more. */
  #wanted = false;
  #scheduled = false;
  #topics: Set<string> | undefined;
  /** Only where events have ids. */
  readonly #ids: EventIds | undefined;
  /** Only where the answer waits for it. */
  readonly #begun: PromiseWithResolvers<CloseCode | undefined> | undefined;
  /** Only of compressed streams. */
  readonly #gzip: GzipSum | undefined;
  /** `ending`: the last frame is in the queue. */
  #state: "open" | "ending" | "closed" = "open";

  constructor(
    { transport, codec, gzip }: StreamKind,
    handler: SocketHandler,
    context: RequestContext,
    streams: StreamTransports,
  ) {
    this.#transport = transport;
    this.data = handler;
    this.#codec = codec;
    this.#context = context;
    this.#streams = streams;
    if (gzip) {
      this.#gzip = new GzipSum();
      this.#append(GZIP_HEAD);
    }
    if (codec.unidirectional) this.#begun = Promise.withResolvers();
    if (transport === "uni_sse") {
      this.#ids = new EventIds();
      // How long an EventSource waits before it comes back: not all at once, after a drain.
      this.#enqueue(utf8Encoder.encode(`retry: ${Math.round(1000 + Math.random() * 3000)}\n\n`));
    }
    streams.begun(transport);
    context.idleTimeout(0);
  }

  /** Of one-way clients: settles with the first frame; with a close code, when the connection ended before that. */
  get begun(): Promise<CloseCode | undefined> | undefined {
    return this.#begun?.promise;
  }

  /** The body's stream is made. */
  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
  }

  /** The runtime asks for more. */
  pull(): void {
    this.#wanted = true;
    this.#flush();
  }

  /** The client is gone. */
  cancel(): void {
    this.#queue = [];
    this.#queued = 0;
    if (this.#state === "open") this.#end("closed", 1006, "");
    this.#state = "closed";
  }

  send(frame: Frame, compress?: boolean): number {
    if (this.#state !== "open") return 0;
    if (this.#isSlow()) {
      this.#cut(SLOW_READER);
      return 0;
    }
    if (this.#ids && !this.#sendId(frame)) return 0;
    const bytes = this.#push(frame, compress);
    this.#begun?.resolve(undefined);
    return this.#queued > this.#streams.backpressureBytes / 4 ? -1 : bytes;
  }

  /** There is no such thing on a stream. */
  ping(): void {}

  close(code = 1000, reason = ""): void {
    if (this.#state !== "open") return;
    this.#push(this.#codec.disconnectPush(code, reason));
    if (this.#gzip) this.#append(this.#gzip.tail());
    this.#end("ending", code, reason);
    this.#context.idleTimeout(ENDED_IDLE_SECONDS);
  }

  terminate(): void {
    // Whoever reads is still told why.
    this.#flush();
    if (this.#state !== "closed") this.#cut("");
  }

  subscribe(topic: string): void {
    if (this.#state !== "open") return;
    this.#topics ??= new Set();
    this.#topics.add(topic);
    this.#streams.topics.subscribe(topic, this);
  }

  unsubscribe(topic: string): void {
    if (this.#topics?.delete(topic)) this.#streams.topics.unsubscribe(topic, this);
  }

  publish(topic: string, frame: Frame, compress?: boolean): number {
    return this.#streams.topics.publish(topic, frame, this, compress) ? frame.length : 0;
  }

  getBufferedAmount(): number {
    return this.#queued;
  }

  /** What is sent in one go leaves together anyhow. */
  cork(callback: () => void): void {
    callback();
  }

  /** Before its frame, as a part of the same event. */
  #sendId(frame: Frame): boolean {
    try {
      const id = this.#ids?.next(frame as string);
      if (id !== undefined) this.#enqueue(utf8Encoder.encode(`id: ${id}\n`));
      return true;
    } catch {
      this.close(Closes.channelLimit.code, Closes.channelLimit.reason);
      return false;
    }
  }

  #isSlow(): boolean {
    const { backpressureBytes } = this.#streams;
    if (this.#queued <= backpressureBytes) return false;
    return this.#queued > backpressureBytes * BURST || performance.now() - this.#queuedAt > PATIENCE_MS;
  }

  #push(frame: Frame, compress?: boolean): number {
    const chunk = this.#streams.chunk(this.#codec, frame);
    this.#enqueue(chunk, compress);
    return chunk.length;
  }

  #enqueue(chunk: Uint8Array, compress?: boolean): void {
    this.#gzip?.add(chunk);
    this.#append(this.#gzip ? this.#streams.packed(chunk, compress) : chunk);
  }

  #append(chunk: Uint8Array): void {
    if (this.#queue.length === 0) this.#queuedAt = performance.now();
    this.#queue.push(chunk);
    this.#queued += chunk.length;
    this.#schedule();
  }

  /** At the end of what runs now: frames that come together leave together. */
  #schedule(): void {
    if (!this.#wanted || this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#wanted && this.#queue.length > 0) {
      this.#wanted = false;
      this.#controller.enqueue(this.#take());
      if (this.#queue.length > 0) this.#queuedAt = performance.now();
      else if (this.#state === "open") this.data.drained(this);
    }
    if (this.#state === "ending" && this.#queue.length === 0) {
      this.#state = "closed";
      this.#controller.close();
    }
  }

  #take(): Uint8Array {
    let count = 0;
    let bytes = 0;
    while (count < this.#queue.length && (count === 0 || bytes + this.#queue[count]!.length <= WRITE_BYTES)) {
      bytes += this.#queue[count++]!.length;
    }
    this.#queued -= bytes;
    const chunks = this.#queue.splice(0, count);
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes);
  }

  /** Ends without a word. (An errored stream would be cut at once, but both runtimes write that to stderr.) */
  #cut(reason: string): void {
    this.#queue = [];
    this.#queued = 0;
    this.#context.idleTimeout(CUT_OFF_IDLE_SECONDS);
    if (this.#state === "open") this.#end("closed", 1006, reason);
    this.#state = "closed";
    this.#controller.close();
  }

  #end(state: "ending" | "closed", code: number, reason: string): void {
    this.#state = state;
    if (this.#topics) for (const topic of this.#topics) this.#streams.topics.unsubscribe(topic, this);
    this.#topics = undefined;
    this.#begun?.resolve({ code, reason });
    this.#streams.ended(this.#transport);
    this.data.closed(this, code, reason);
  }
}
