import process from "node:process";
import type { Children } from "../process/children.ts";
import { ownArguments } from "../process/own-program.ts";
import { LOOPBACK } from "../process/ports.ts";
import { type ManagedServer, type Server, startServer } from "./server.ts";

/** One gateway instance of a region. */
export interface WorldInstance extends Server {
  readonly id: string;
  readonly region: string;
  /** http://127.0.0.1:port, the same after a restart. */
  readonly url: string;
  /** ws://127.0.0.1:port/connection/websocket */
  readonly websocket: string;
  /** Asks it to drain (SIGTERM), and kills it when it takes longer than five seconds. */
  term(): Promise<void>;
}

export interface InstanceOptions {
  readonly id: string;
  readonly region: string;
  readonly command: "serve" | "dev";
  readonly port: number;
  /** Settings, beside those of who and where it is. */
  readonly env: Readonly<Record<string, string>>;
  readonly children: Children;
  onChange(alive: boolean): void;
}

/** Starts an instance, and waits until it is ready for clients. */
export async function startInstance(options: InstanceOptions): Promise<WorldInstance & ManagedServer> {
  const { id, region, command, port, env, children, onChange } = options;
  const url = `http://${LOOPBACK}:${port}`;
  const server = await startServer({
    name: `trunkline ${command} of ${region}`,
    children,
    program: () => ({
      args: ownArguments(command),
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        PORT: String(port),
        TRUNKLINE_HOST: LOOPBACK,
        TRUNKLINE_LOG_FORMAT: "json",
        TRUNKLINE_HTTP_PUBLIC_METRICS: "true",
        REGION: region,
        INSTANCE_ID: id,
        ...env,
      },
    }),
    probe: () => isReady(url, id),
    onChange,
  });
  return Object.assign(server, {
    id,
    region,
    url,
    websocket: `ws://${LOOPBACK}:${port}/connection/websocket`,
  });
}

/** Whether this very instance takes clients: another one may have its port. */
async function isReady(url: string, id: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(1_000) });
    const { instance } = (await answer.json()) as { instance?: unknown };
    return answer.ok && instance === id;
  } catch {
    return false;
  }
}
