import { createServer, connect as dial, type Socket } from "node:net";

/** A way to a Redis on which every command can be refused, as a Redis of another state would. */
export interface RefusingRedis extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** What every command is answered from now on, an error as it stands on the wire; `undefined`: what Redis says. */
  refusal: string | undefined;
}

export async function refusingRedis(redisPort: number): Promise<RefusingRedis> {
  const state = { refusal: undefined as string | undefined };
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const redis = dial(redisPort, "127.0.0.1");
    for (const socket of [client, redis]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    }
    const commands = commandCounter();
    client.on("data", (chunk: Buffer) => {
      const count = commands(chunk);
      if (state.refusal === undefined) redis.write(chunk);
      else client.write(`-${state.refusal}\r\n`.repeat(count));
    });
    redis.pipe(client);
    client.on("close", () => redis.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    get refusal() {
      return state.refusal;
    },
    set refusal(refusal) {
      state.refusal = refusal;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Counts the commands that end in each chunk of a stream of RESP arrays. */
function commandCounter(): (chunk: Buffer) => number {
  let rest = Buffer.alloc(0);
  const lineAt = (at: number) => {
    const end = rest.indexOf("\r\n", at);
    return end < 0 ? undefined : { value: Number(rest.toString("latin1", at + 1, end)), next: end + 2 };
  };
  const end = (): number | undefined => {
    const head = lineAt(0);
    if (!head) return undefined;
    let at = head.next;
    for (let part = 0; part < head.value; part++) {
      const length = lineAt(at);
      if (!length) return undefined;
      at = length.next + length.value + 2;
    }
    return at <= rest.length ? at : undefined;
  };
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    let count = 0;
    for (let at = end(); at !== undefined; at = end()) {
      rest = rest.subarray(at);
      count++;
    }
    return count;
  };
}
