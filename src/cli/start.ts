import process from "node:process";
import type { Config } from "../config.ts";
import { detectRuntime } from "./detect-runtime.ts";
import { UserError } from "./output.ts";
import type { FromWorker, ToWorker } from "./reload/messages.ts";
import { WorkerMetrics } from "./scrape/worker.ts";
import { readTexts, type SettingsOptions, type SettingsSource, startSettings } from "./settings.ts";

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
  const settings: SettingsOptions = { file, profile: "serve", overrides };
  const texts = await readTexts(settings);
  const config = await startSettings(settings, texts);
  const source = { settings, texts };
  if (options.worker === undefined && config.workers === 1) {
    return (await import("./serve.ts")).run(config, { version, source });
  }
  const runtime = await detectRuntime();
  if (runtime.noSharedPorts !== undefined) throw new UserError(`workers: ${runtime.noSharedPorts}`);
  if (options.worker !== undefined) return work(config, number(options.worker), { version, source });
  // A supervisor has no use for the drivers, nor for the memory they take.
  return (await import("./workers.ts")).supervise(config, runtime, source);
}

/** Runs worker `n`, under whoever has started it: {@link supervise}, or systemd and the like. */
async function work(
  config: Config,
  n: number,
  { version, source }: { readonly version: string; readonly source: SettingsSource },
): Promise<void> {
  if (config.nats.urls.length === 0) {
    throw new UserError("--worker: workers share nothing without NATS; set nats.urls (NATS_URL)");
  }
  const { run } = await import("./serve.ts");
  const supervised = process.send !== undefined;
  const send = (message: FromWorker) => void process.send?.(message);
  const metrics = new WorkerMetrics(n, send);
  await run(config, {
    ...{ version, source, worker: n },
    asWorker: ({ instanceId, admin, ...rest }) => ({
      ...rest,
      instanceId: `${instanceId}-${n}`,
      admin: { ...admin, port: admin.port > 0 ? admin.port + n : 0 },
    }),
    ...(supervised && { supervisor: { send }, metricsOfAll: (own) => metrics.ofAll(own) }),
    started: ({ url }) => send({ kind: "listening", url }),
    told(leave, reloads) {
      process.on("message", (order: ToWorker) => {
        if (order.kind === "leave") leave();
        else if (order.kind === "read" || order.kind === "scraped") void metrics.told(order);
        else void reloads?.told(order);
      });
      // The supervisor is gone, however that happened.
      process.on("disconnect", leave);
      if (supervised && !process.connected) leave();
    },
  });
}

function number(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new UserError(`--worker ${text}: it must be the number of a worker, from 1`);
}
