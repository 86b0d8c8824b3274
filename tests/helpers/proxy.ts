import { createConnection, createServer, type Server, type Socket } from "node:net";

/**
 * A TCP link that can fail, in this process. States: `open`; `cut` (connections are reset, new ones refused);
 * `stalled` (accepts, and holds everything back until healed, like a process that is stopped); `lossy` (accepts, and
 * swallows everything: half-open connections, which are reset when healed).
 */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** Connections through it now. */
  readonly connections: number;
  cut(): void;
  stall(): void;
  blackhole(): void;
  /** Every chunk arrives this much later, in both directions, ms. */
  delay(ms: number): void;
  /** Back to `open`, without delay. */
  heal(): void;
}

type State = "open" | "cut" | "stalled" | "lossy";

interface Pipe {
  readonly ends: readonly [Socket, Socket];
  /** Bytes went missing: it is of no use any more. */
  broken: boolean;
  held: (() => void)[];
}

/** Opens a link to a port of 127.0.0.1. */
export async function tcpProxy(target: number): Promise<Proxy> {
  const pipes = new Set<Pipe>();
  let state: State = "open";
  let delayMs = 0;

  const forward = (pipe: Pipe, to: Socket, chunk: Buffer) => {
    const write = () => to.writable && to.write(chunk);
    if (state === "lossy") pipe.broken = true;
    else if (state === "stalled" || pipe.held.length > 0) pipe.held.push(write);
    else if (delayMs > 0) setTimeout(write, delayMs);
    else write();
  };
  const end = (pipe: Pipe) => {
    pipes.delete(pipe);
    for (const socket of pipe.ends) socket.destroy();
  };

  const server: Server = createServer((near) => {
    if (state === "cut") {
      near.destroy();
      return;
    }
    const far = createConnection(target, "127.0.0.1");
    const pipe: Pipe = { ends: [near, far], broken: false, held: [] };
    pipes.add(pipe);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true);
      from.on("data", (chunk: Buffer) => forward(pipe, to, chunk));
      from.on("error", () => {}); // "close" follows
      from.on("close", () => {
        // An end that vanishes behind a dead link is not noticed on its other side.
        if (state === "open" || state === "cut") end(pipe);
        else pipe.broken = true;
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address() as { port: number };

  return {
    port: address.port,
    get connections() {
      return pipes.size;
    },
    cut() {
      state = "cut";
      for (const pipe of [...pipes]) end(pipe);
    },
    stall() {
      state = "stalled";
    },
    blackhole() {
      state = "lossy";
    },
    delay(ms) {
      delayMs = ms;
    },
    heal() {
      state = "open";
      delayMs = 0;
      for (const pipe of [...pipes]) {
        if (pipe.broken) end(pipe);
        else for (const write of pipe.held.splice(0)) write();
      }
    },
    async [Symbol.asyncDispose]() {
      for (const pipe of [...pipes]) end(pipe);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
