/**
 * Deno's WebSocket tells nobody of pongs, and takes those that have come one after the other without going back to its
 * event loop: a peer that sends pongs as fast as they are taken stops everything else in the process (Deno 2.9). Whenever
 * it takes a frame, a text, a binary or a pong, it calls a method of its own, which is where they can be seen.
 */

/** That method's name (ext/websocket/01_websocket.js). */
const TAKES_FRAME = "Symbol([[serverHandleIdleTimeout]])";

/** Where a WebSocket keeps how long, s, it may be silent: after half of it, that method has it pinged. */
const IDLE_TIMEOUT = "Symbol([[idleTimeout]])";

/** As short as a time may be, s. */
const AT_ONCE = 0.001;
/** Longer than anybody goes without a ping, s: when Deno would ping by itself. */
const NEVER = 86_400;

/** Where a WebSocket keeps who is told of its frames. */
const OWNER = Symbol("owner");

/** Told of each text, binary and pong of a socket, before the message's event. */
export interface FrameWatcher {
  frame(): void;
}

const watched = new WeakSet<object>();

/** That method, as Deno has it. */
let takeFrame: ((this: WebSocket) => void) | undefined;

/**
 * Sends a ping, where {@link watchFrames} found a way: Deno pings a socket that has been silent for half of its idle
 * time-out, so that is made to be over at once, and to be never again.
 */
export function sendPing(socket: WebSocket): void {
  const name = Object.getOwnPropertySymbols(socket).find((symbol) => String(symbol) === IDLE_TIMEOUT);
  if (!takeFrame || !name) return;
  const own = socket as WebSocket & Record<symbol, number>;
  own[name] = AT_ONCE;
  takeFrame.call(socket);
  own[name] = NEVER;
}

type Watched = WebSocket & { [OWNER]?: FrameWatcher };

/** Has `owner` told of the socket's frames, where {@link watchFrames} found a way. */
export function ownFrames(socket: WebSocket, owner: FrameWatcher): void {
  (socket as Watched)[OWNER] = owner;
}

/** Makes Deno's WebSockets tell of their frames. Where they have no such method, nothing is changed. */
export function watchFrames(prototype: object): void {
  if (watched.has(prototype)) return;
  const name = Object.getOwnPropertySymbols(prototype).find((symbol) => String(symbol) === TAKES_FRAME);
  const method = name && Object.getOwnPropertyDescriptor(prototype, name);
  if (!name || typeof method?.value !== "function" || !method.configurable) return;
  const original = method.value as () => void;
  takeFrame = original;
  Object.defineProperty(prototype, name, {
    ...method,
    value(this: Watched) {
      original.call(this);
      this[OWNER]?.frame();
    },
  });
  watched.add(prototype);
}
