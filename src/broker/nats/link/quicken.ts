import type { NatsConnection } from "../../../nats/client.ts";

/** What is used of the library's own parts (nats.js 2.29: `protocol.js`, `node_transport.js`). */
interface Protocol {
  readonly transport?: Partial<Transport>;
  readonly parser?: { parse?(bytes: Uint8Array): void };
}

interface Transport {
  /** What was read and waits for the reader. */
  yields: Uint8Array[];
  socket: Partial<SocketPart>;
  readonly isClosed: boolean;
  send(frame: Uint8Array): void;
}

interface SocketPart {
  listeners(event: "data"): readonly ((bytes: Uint8Array) => void)[];
  on(event: "data", listener: (bytes: Uint8Array) => void): void;
  off(event: "data", listener: (bytes: Uint8Array) => void): void;
  write(bytes: Uint8Array): void;
  destroy(): void;
}

/** How often it is looked whether the library's reader has nothing left to do. */
const TRIES = 100;

/**
 * Shortens the way of messages between the socket and the library's parser, once for each connection that is made: what is
 * read is parsed at once, and what is written is handed to the socket. The library's own way takes an asynchronous generator,
 * three promises and their closures for each read, and a promise with a callback for each write. Where a newer library is
 * built another way, its own way stays.
 */
export function quicken(nc: NatsConnection, tries = TRIES): void {
  const { protocol } = nc as unknown as { protocol?: Protocol };
  const { transport, parser } = protocol ?? {};
  const { socket } = transport ?? {};
  if (!protocol || !transport || !socket || !Array.isArray(transport.yields)) return;
  if (typeof parser?.parse !== "function" || typeof transport.send !== "function") return;
  if (!socket.listeners || !socket.on || !socket.off || !socket.write || !socket.destroy) return;
  // In a turn of its own the library's reader is idle, unless something waits for it.
  setImmediate(() => {
    if (protocol.transport !== transport || transport.isClosed) return;
    if (transport.yields!.length > 0) {
      if (tries > 0) quicken(nc, tries - 1);
      return;
    }
    take(protocol, transport as Transport, socket as SocketPart);
  });
}

function take(protocol: Protocol, transport: Transport, socket: SocketPart): void {
  for (const listener of socket.listeners("data")) socket.off("data", listener);
  socket.on("data", (bytes) => {
    try {
      protocol.parser!.parse!(bytes);
    } catch {
      // What comes now is not the protocol: another connection may be better.
      socket.destroy();
    }
  });
  transport.send = (frame) => {
    if (!transport.isClosed) socket.write(frame);
  };
}
