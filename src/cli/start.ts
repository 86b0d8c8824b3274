import process from "node:process";
import type { Config } from "../config.ts";
import { detectRuntime } from "./detect-runtime.ts";
import { UserError } from "./output.ts";
import { startSettings } from "./settings.ts";
import type { FromWorker, ToWorker } from "./workers.ts";

export interface ServeOptions {
  readonly config?: string;
  readonly workers?: string;
  readonly worker?: string;
  readonly version: string;
}

/**
 * `trunkline serve`: one instance for production, or several workers, until SIGTERM or SIGINT; a second signal ends it
 * at once.
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { config: file, workers, version } = options;
  const overrides = { ...(workers !== undefined && { workers }) };
  const config = await startSettings({ file, profile: "serve", overrides });
  if (options.worker === undefined && config.workers === 1) {
    return (await import("./serve.ts")).run(config, { version });
  }
  const runtime = await detectRuntime();
  if (runtime.noSharedPorts !== undefined) throw new UserError(`workers: ${runtime.noSharedPorts}`);
  if (options.worker !== undefined) return work(config, number(options.worker), version);
  // A supervisor has no use for the drivers, nor for the memory they take.
  return (await import("./workers.ts")).supervise(config, runtime, file);
}

/** Runs worker `n`, under whoever has started it: {@link supervise}, or systemd and the like. */
async function work(config: Config, n: number, version: string): Promise<void> {
  if (config.nats.urls.length === 0) {
    throw new UserError("--worker: workers share nothing without NATS; set nats.urls (NATS_URL)");
  }
  const { run } = await import("./serve.ts");
  const supervised = process.send !== undefined;
  const { port, host } = config.admin;
  await run(
    { ...config, instanceId: `${config.instanceId}-${n}`, admin: { host, port: port > 0 ? port + n : 0 } },
    {
      version,
      worker: n,
      started: ({ url }) => process.send?.({ listening: url } satisfies FromWorker),
      told(leave) {
        process.on("message", (order: ToWorker) => order === "leave" && leave());
        // The supervisor is gone, however that happened.
        process.on("disconnect", leave);
        if (supervised && !process.connected) leave();
      },
    },
  );
}

function number(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new UserError(`--worker ${text}: it must be the number of a worker, from 1`);
}
