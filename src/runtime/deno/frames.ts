/**
 * Deno's WebSocket tells nobody of pongs, and takes those that have come one after the other without going back to its
 * event loop: a peer that sends pongs as fast as they are taken stops everything else in the process (Deno 2.9). Whenever
 * it takes a frame, a text, a binary or a pong, it calls a method of its own, which is where they can be seen.
 */

/** That method's name (ext/websocket/01_websocket.js). */
const TAKES_FRAME = "Symbol([[serverHandleIdleTimeout]])";

/** Where a WebSocket keeps who is told of its frames. */
const OWNER = Symbol("owner");

/** Told of each text, binary and pong of a socket, before the message's event. */
export interface FrameWatcher {
  frame(): void;
}

const watched = new WeakSet<object>();

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
  Object.defineProperty(prototype, name, {
    ...method,
    value(this: Watched) {
      original.call(this);
      this[OWNER]?.frame();
    },
  });
  watched.add(prototype);
}
