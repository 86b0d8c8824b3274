import { BenchError } from "../error.ts";

export interface RegionClientOptions {
  /** ws://host:port/connection/websocket */
  readonly url: string;
  readonly token: string;
  readonly channel: string;
  /** Receives the data of each publication. */
  readonly onData: (data: unknown) => void;
}

interface Reply {
  readonly id?: number;
  readonly error?: { readonly code: number; readonly message: string };
  readonly push?: { readonly pub?: { readonly data: unknown } };
}

/** Longest time a client may take to subscribe, ms. */
const TIMEOUT_MS = 10_000;
const SUBSCRIBED = 2;

/**
 * One raw client of the Centrifuge protocol in JSON, in one channel. Resolves once it is subscribed. @throws BenchError
 */
export async function joinRegion({ url, token, channel, onData }: RegionClientOptions): Promise<Disposable> {
  const socket = new WebSocket(url);
  const joined = Promise.withResolvers<void>();
  const timer = setTimeout(() => joined.reject(new BenchError(`${url} lets nobody in`)), TIMEOUT_MS);
  socket.onopen = () => {
    const connect = { id: 1, connect: { token } };
    const subscribe = { id: SUBSCRIBED, subscribe: { channel } };
    socket.send(`${JSON.stringify(connect)}\n${JSON.stringify(subscribe)}`);
  };
  socket.onmessage = ({ data }) => {
    for (const line of String(data).split("\n")) {
      if (line === "{}") {
        socket.send("{}"); // a ping wants its pong
        continue;
      }
      const { id, error, push } = JSON.parse(line) as Reply;
      if (push?.pub) onData(push.pub.data);
      else if (error) joined.reject(new BenchError(`${url} answers ${error.code} ${error.message}`));
      else if (id === SUBSCRIBED) joined.resolve();
    }
  };
  socket.onclose = ({ code, reason }) => joined.reject(new BenchError(`${url} closed ${code} ${reason}`));
  try {
    await joined.promise;
  } finally {
    clearTimeout(timer);
  }
  return { [Symbol.dispose]: () => socket.close() };
}
