import { Buffer } from "node:buffer";
import { SLOW_READER, type Socket, type SocketHandler, TOO_BIG } from "../runtime.ts";
import type { Topics } from "../topics.ts";
import { type FrameWatcher, ownFrames, sendPing } from "./frames.ts";

/** What the sockets of one server share. */
export interface SocketGroup {
  readonly topics: Topics<DenoSocket>;
  readonly open: Set<DenoSocket>;
  /** Sockets that have unsent bytes under pressure; polled, because Deno tells nothing. */
  readonly pressed: Set<DenoSocket>;
  readonly maxFrameBytes: number;
  readonly backpressureBytes: number;
}

/** A socket may hold so many times its limit for the length of one burst. */
const BURST = 4;
/** Polls a socket may stay above its limit before the next frame ends it. */
const PATIENCE = 3;

/**
 * One WebSocket on Deno, behaving as Bun's does. Deno shows no pings (it answers them by itself), and it has no way to
 * cut a connection whose peer does not read: {@link terminate} forgets it at once, but its descriptor and unsent bytes
 * stay until the peer goes.
 */
export class DenoSocket implements Socket, FrameWatcher {
  data: SocketHandler;
  #socket: WebSocket;
  readonly #group: SocketGroup;
  #topics: Set<string> | undefined;
  /** Polls in a row that found more than the limit unsent. */
  #over = 0;
  /** A frame was taken and no message came of it yet; undefined before Deno's own first call, which no frame caused. */
  #taken: boolean | undefined;
  /** A ping is out, and no frame came since. */
  #pinged = false;
  #state: "connecting" | "open" | "closed" = "connecting";

  constructor(socket: WebSocket, handler: SocketHandler, group: SocketGroup) {
    this.data = handler;
    this.#socket = socket;
    this.#group = group;
    socket.binaryType = "arraybuffer";
    // The object is its own listener: no closures for each connection.
    for (const event of ["open", "message", "close", "error"]) socket.addEventListener(event, this);
    ownFrames(socket, this);
  }

  /** A frame was taken. What no message came of is a pong, which shows when the next frame is taken. */
  frame(): void {
    // Whatever it is, it answers the ping, and nobody needs to know more.
    const answer = this.#pinged;
    const pong = this.#taken || answer;
    this.#pinged = false;
    this.#taken = this.#taken !== undefined && !answer;
    if (pong && this.#state === "open") this.data.onControlFrame(this);
  }

  /** EventListener of the WebSocket. */
  handleEvent(event: Event): void {
    switch (event.type) {
      case "open":
        this.#state = "open";
        this.#group.open.add(this);
        this.data.opened(this);
        break;
      case "message":
        this.#received((event as MessageEvent<string | ArrayBuffer>).data);
        break;
      case "close": {
        const { wasClean, code, reason } = event as CloseEvent;
        this.#end(wasClean ? code : 1006, reason);
        break;
      }
      default:
        // An error is always followed by a close.
        break;
    }
  }

  send(frame: string | Uint8Array): number {
    if (this.#state !== "open") return 0;
    const { backpressureBytes, pressed } = this.#group;
    const buffered = this.#socket.bufferedAmount;
    // As on Bun, one frame of any size fits while there is room. Deno writes nothing before this tick ends, though, so
    // that a burst alone is no slow reader.
    if (buffered > backpressureBytes && (this.#over >= PATIENCE || buffered > backpressureBytes * BURST)) {
      this.#socket.close(1006, "");
      this.#end(1006, SLOW_READER);
      return 0;
    }
    this.#socket.send(frame as string | Uint8Array<ArrayBuffer>);
    if (buffered + frame.length <= backpressureBytes / 4) return frame.length;
    pressed.add(this);
    return -1;
  }

  ping(): void {
    if (this.#state !== "open") return;
    this.#pinged = true;
    sendPing(this.#socket);
  }

  close(code = 1000, reason = ""): void {
    if (this.#state === "closed") return;
    this.#socket.close(code, reason);
    this.#end(code, reason);
  }

  terminate(): void {
    if (this.#state === "closed") return;
    this.#socket.close(1006, "");
    this.#end(1006, "");
  }

  subscribe(topic: string): void {
    if (this.#state === "closed") return;
    this.#topics ??= new Set();
    this.#topics.add(topic);
    this.#group.topics.subscribe(topic, this);
  }

  unsubscribe(topic: string): void {
    if (this.#topics?.delete(topic)) this.#group.topics.unsubscribe(topic, this);
  }

  publish(topic: string, frame: string | Uint8Array): number {
    return this.#group.topics.publish(topic, frame, this) ? frame.length : 0;
  }

  /** Deno has no such thing: every message is a write. */
  cork(callback: () => void): void {
    callback();
  }

  /** Whoever sees something here is told when it is gone ({@link SocketHandler.drained}), however little it was. */
  getBufferedAmount(): number {
    const buffered = this.#socket.bufferedAmount;
    if (buffered > 0 && this.#state === "open") this.#group.pressed.add(this);
    return buffered;
  }

  /** Called every few ms while under pressure. */
  poll(): void {
    const buffered = this.#socket.bufferedAmount;
    if (buffered > this.#group.backpressureBytes) {
      this.#over++;
      return;
    }
    this.#over = 0;
    if (buffered > 0) return;
    this.#group.pressed.delete(this);
    this.data.drained(this);
  }

  #received(frame: string | ArrayBuffer): void {
    this.#taken = false;
    if (this.#state !== "open") return;
    if (longerThan(frame, this.#group.maxFrameBytes)) {
      this.#socket.close(1009, TOO_BIG);
      this.#end(1006, TOO_BIG);
      return;
    }
    this.data.message(this, typeof frame === "string" ? frame : new Uint8Array(frame));
  }

  #end(code: number, reason: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    const { open, pressed, topics } = this.#group;
    open.delete(this);
    pressed.delete(this);
    if (this.#topics) for (const topic of this.#topics) topics.unsubscribe(topic, this);
    this.#topics = undefined;
    this.data.closed(this, code, reason);
  }
}

function longerThan(frame: string | ArrayBuffer, bytes: number): boolean {
  if (typeof frame !== "string") return frame.byteLength > bytes;
  // A UTF-16 unit is one to three bytes of UTF-8: most frames are decided without counting.
  if (frame.length > bytes) return true;
  return frame.length * 3 > bytes && Buffer.byteLength(frame) > bytes;
}
