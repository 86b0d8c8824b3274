import type { ServeOptions, Server, SocketHandler, TlsCertificate } from "../runtime.ts";

type BunServer = Bun.Server<SocketHandler>;
type BunSocket = Bun.ServerWebSocket<SocketHandler>;
type Frame = string | Uint8Array;

/** Told of each socket before its handler is. */
export interface SocketHooks {
  opened(socket: BunSocket): void;
  closed(socket: BunSocket): void;
}

/** Opens a server of Bun's on this port. */
type Listen = (port: number, tls: TlsCertificate | undefined, hooks: SocketHooks | undefined) => BunServer;

/**
 * A port as Bun serves it. Bun keeps the certificate of a server for as long as that lives, so that a new one takes a new
 * server on the same port; the connections of those before stay with them until they end, and their topics, too.
 */
export class BunListener implements Server {
  readonly hostname: string;
  readonly port: number;
  readonly #listen: (tls: TlsCertificate | undefined) => BunServer;
  #newest: BunServer;
  #tls: TlsCertificate | undefined;
  /** Servers that take no new connections, and still have old ones. */
  readonly #older = new Set<BunServer>();
  readonly #sockets: OwnMethods;
  #closed: Promise<void> | undefined;

  constructor(options: ServeOptions, listen: Listen) {
    this.#tls = options.tls;
    this.#sockets = new OwnMethods(options, (socket, topic, frame, compress) =>
      this.#publishBeside(socket, topic, frame, compress),
    );
    const hooked = options.tls || options.compression;
    this.#newest = listen(options.port, options.tls, hooked && this.#sockets);
    const { hostname = "", port = 0 } = this.#newest;
    this.hostname = hostname;
    this.port = port;
    this.#listen = (tls) => listen(port, tls, this.#sockets);
  }

  publish(topic: string, frame: Frame, wanted?: boolean): boolean {
    const compress = this.#sockets.compresses(frame, wanted);
    // What it returns speaks of the worst subscriber only.
    const taken =
      this.#older.size === 0
        ? this.#newest.publish(topic, frame, compress) !== 0
        : this.#toAll(topic, frame, compress);
    if (!taken) this.#sockets.closeFull();
    return taken;
  }

  /** Whether somebody was reached, and everybody had room. */
  #toAll(topic: string, frame: Frame, compress: boolean): boolean {
    let [reached, taken] = [false, true];
    for (const server of [...this.#older, this.#newest]) {
      if (server.subscriberCount(topic) === 0) continue;
      reached = true;
      if (server.publish(topic, frame, compress) === 0) taken = false;
    }
    return reached && taken;
  }

  async renew(tls: TlsCertificate): Promise<void> {
    const old = this.#newest;
    this.#older.add(old);
    // Its promise stays pending for as long as a WebSocket is open, as it must here.
    void old.stop().then(() => this.#older.delete(old));
    try {
      this.#newest = this.#listen(tls);
      this.#tls = tls;
    } catch (error) {
      this.#newest = this.#listen(this.#tls);
      throw error;
    }
  }

  stopListening(): void {
    // Its promise stays pending for as long as a WebSocket is open (bun#36223); nobody waits for it.
    void this.#newest.stop();
  }

  close(): Promise<void> {
    this.#closed ??= Promise.all([...this.#older, this.#newest].map((server) => server.stop(true))).then(
      () => {},
    );
    return this.#closed;
  }

  /** To all subscribers but this socket, whatever server they are of; 0 when one of them had no room. */
  #publishBeside(socket: BunSocket, topic: string, frame: Frame, compress?: boolean): number {
    if (this.#older.size === 0) {
      const sent = native(socket).publish.call(
        socket,
        topic,
        frame,
        this.#sockets.compresses(frame, compress),
      );
      if (sent === 0) this.#sockets.closeFull();
      return sent;
    }
    // Which server it is of is not known: it leaves the topic for as long as that takes.
    const subscribed = socket.isSubscribed(topic);
    if (subscribed) socket.unsubscribe(topic);
    const taken = this.publish(topic, frame, compress);
    if (subscribed) socket.subscribe(topic);
    return taken ? frame.length : 0;
  }
}

/** Bun's own methods, below those that {@link OwnMethods} puts upon them. */
export function native(socket: BunSocket): Pick<BunSocket, "send" | "publish"> {
  return Object.getPrototypeOf(socket) as BunSocket;
}

/**
 * What the sockets of a server do in another way than Bun's, where it compresses or speaks TLS.
 *
 * With TLS: a socket with too much unsent Bun drops messages for, and closes; but with TLS that close never comes (1.4), and
 * the peer would go on with a hole in what it gets. So it is closed here, before the event loop turns and it could have room
 * again.
 */
export class OwnMethods implements SocketHooks {
  readonly #limit: number;
  readonly #secure: boolean;
  /** Length from which a frame is compressed. */
  readonly #minLength: number;
  /** Only with TLS. */
  readonly #open = new Set<BunSocket>();
  /** What each socket has of its own: one function for all of them, no closure for each. */
  readonly #own: object;
  #looking = false;

  /** @param publish what a socket's own `publish` does */
  constructor(
    { backpressureBytes, tls, compression }: Pick<ServeOptions, "backpressureBytes" | "tls" | "compression">,
    publish: (socket: BunSocket, topic: string, frame: Frame, compress?: boolean) => number,
  ) {
    const sockets = this;
    this.#limit = backpressureBytes;
    this.#secure = tls !== undefined;
    this.#minLength = compression?.minBytes ?? Number.POSITIVE_INFINITY;
    this.#own = {
      send(this: BunSocket, frame: Frame, compress?: boolean): number {
        const sent = native(this).send.call(this, frame, sockets.compresses(frame, compress));
        if (sent === 0) sockets.closeFull();
        return sent;
      },
      publish(this: BunSocket, topic: string, frame: Frame, compress?: boolean): number {
        return publish(this, topic, frame, compress);
      },
    };
  }

  /** Whether Bun is to compress a frame. @param wanted false: it is not worth it */
  compresses(frame: Frame, wanted: boolean | undefined): boolean {
    return frame.length >= this.#minLength && wanted !== false;
  }

  opened(socket: BunSocket): void {
    if (this.#secure) this.#open.add(socket);
    Object.assign(socket, this.#own);
  }

  closed(socket: BunSocket): void {
    this.#open.delete(socket);
  }

  /** Something was dropped, of somebody: with TLS, closes who has no room, behind what runs now. */
  closeFull(): void {
    if (!this.#secure || this.#looking) return;
    this.#looking = true;
    queueMicrotask(() => {
      this.#looking = false;
      for (const socket of this.#open) if (socket.getBufferedAmount() > this.#limit) socket.terminate();
    });
  }
}
