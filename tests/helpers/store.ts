import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { connect, type NatsConnection } from "nats";
import { atLeast } from "../../src/core/version.ts";
import { ensureServer, natsServer, type TestServer } from "./servers.ts";
import { until } from "./until.ts";

/** A nats-server program to test against. */
export interface NatsProgram {
  readonly path: string;
  /** Such as `2.9.10`. */
  readonly version: string;
}

/**
 * The nats-server that every test uses, and those that `NATS_SERVER_BINS` names (paths with commas between them): what
 * stands on how a server keeps and loses messages is to be tested on old and new ones.
 */
export const natsPrograms: readonly NatsProgram[] = [
  ...new Set([ensureServer("nats-server"), ...(process.env.NATS_SERVER_BINS?.split(",") ?? [])]),
].map((path) => {
  const said = Bun.spawnSync([path, "--version"]).stdout.toString();
  const version = /v(\d+\.\d+\.\d+)/.exec(said)?.[1];
  if (version === undefined) throw new Error(`${path} is no nats-server: ${said}`);
  return { path, version };
});

/** A nats-server whose disk can be made to forget. */
export interface StoreServer extends TestServer {
  readonly program: NatsProgram;
  /** Ends it in order, copies what it has stored, and starts it again. */
  keep(): Promise<StoreCopy>;
  /**
   * What a power cut, or a restored backup, does to a store: ends the server at once, puts the copy back, and starts it on
   * the same port. @param meanwhile done while it is down
   */
  goBack(copy: StoreCopy, meanwhile?: () => Promise<unknown> | unknown): Promise<void>;
}

/** Folder of a copy; it lies in the server's own folder and goes with it. */
export type StoreCopy = string & { readonly _is?: "store copy" };

/** A server of its own with a store that can go back. */
export async function storeServer(program: NatsProgram, config = ""): Promise<StoreServer> {
  return withCopies(await natsServer(config, program.path), program);
}

/** Gives a running server the ways to copy its store, and to put a copy back. */
export function withCopies(server: TestServer, program: NatsProgram): StoreServer {
  const store = join(server.dir, "js");
  let copies = 0;
  return {
    url: server.url,
    port: server.port,
    dir: server.dir,
    get pid() {
      return server.pid;
    },
    kill: (signal) => server.kill(signal),
    restart: () => server.restart(),
    pause: () => server.pause(),
    resume: () => server.resume(),
    program,
    async keep() {
      await server.kill("SIGTERM");
      const copy = join(server.dir, `copy-${copies++}`);
      await cp(store, copy, { recursive: true });
      await server.restart();
      return copy;
    },
    async goBack(copy, meanwhile) {
      await server.kill();
      await meanwhile?.();
      await rm(store, { recursive: true, force: true });
      await cp(copy, store, { recursive: true });
      await server.restart();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/**
 * A plain connection beside the product, for what services and operators do, to one server or several with commas between
 * their addresses. It waits until JetStream answers: a server
 * listens before it has read its files.
 */
export async function service(url: string): Promise<NatsConnection & AsyncDisposable> {
  const nc = await connect({ servers: url.split(","), maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  await until(() => ready(nc), { what: "JetStream", timeoutMs: 30_000 });
  return Object.assign(nc, { [Symbol.asyncDispose]: () => nc.close() });
}

/** Whether JetStream answers on a connection. */
async function ready(nc: NatsConnection): Promise<boolean> {
  try {
    await nc.request("$JS.API.INFO", "", { timeout: 1_000 });
    return true;
  } catch {
    return false;
  }
}

/** Whether a program is of at least this version, such as `2.10`. */
export function since(program: NatsProgram, version: string): boolean {
  return atLeast(program.version, version);
}
