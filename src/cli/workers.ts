import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import type { Config } from "../config.ts";
import type { Logger } from "../core/log.ts";
import { unreachable } from "../core/unreachable.ts";
import type { ReloadOutcome } from "../http/admin.ts";
import { memoryShare } from "../process/memory.ts";
import { ownArguments } from "../process/own-program.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { consoleLogger } from "./console-log.ts";
import { UserError } from "./output.ts";
import type { Prepared } from "./reload/drivers.ts";
import { FleetReload, type Worker } from "./reload/fleet.ts";
import type { FromWorker, ToWorker } from "./reload/messages.ts";
import { Reloader } from "./reload/reloader.ts";
import { SecretWatch } from "./reload/secret-watch.ts";
import { FleetMetrics } from "./scrape/fleet.ts";
import { SupervisorPort } from "./scrape/port.ts";
import { type SettingsSource, type SettingsTexts, warnOfLimits } from "./settings.ts";
import { ignoreSignals } from "./signals.ts";

/** First pause before a worker that has ended is started again; doubles with each end that follows soon. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
/** How long a worker may take to listen, ms: longer than NATS and Redis are waited for. One that takes longer is ended. */
const START_MS = 60_000;
/** A worker that listened for so long has started well: the next pause is the first one again. */
const WELL_MS = 30_000;

/** What the supervisor knows of one worker, across its lives. */
interface Slot {
  readonly number: number;
  child: ChildProcess | undefined;
  listening: boolean;
  listeningSinceMs: number;
  pauseMs: number;
  restart: ReturnType<typeof setTimeout> | undefined;
  /** Times it has ended before it was told to. */
  ends: number;
  /** Ends it when it does not listen in time. */
  deadline: ReturnType<typeof setTimeout> | undefined;
}

/**
 * Runs `config.workers` processes that listen on one port, starts again those that end, and lets all of them drain on
 * SIGTERM or SIGINT; a second signal kills them. On SIGHUP all take over changed settings, or none. Ends the process: with 0
 * when every worker drained in order.
 * @param source where the settings came from
 */
export async function supervise(config: Config, runtime: Runtime, source: SettingsSource): Promise<void> {
  const log = consoleLogger(config).with({ at: "workers" });
  warnOfLimits(config, log);
  if (!config.redis.url && !config.upstash.url) {
    log.warn(
      "presence is embedded: each worker knows its own clients only; set REDIS_URL or UPSTASH_REDIS_REST_URL",
    );
  }
  const port = exclusivePort(config, runtime);
  const second = new SupervisorPort(config, {
    text: () => workers.metrics(),
    allListen: () => workers.allListen,
  });
  second.listen(config, runtime);
  const { file } = source.settings;
  const workers: Workers = new Workers({
    config,
    port,
    file,
    log,
    startMs: START_MS,
    reload: () => reloader.reload(),
  });
  const reloader: Reloader = new Reloader({
    ...{ config, ...source, log },
    async prepare(next, texts) {
      const { commit, abandon } = await workers.prepare(texts);
      return {
        abandon,
        commit() {
          commit();
          log.setLevel(next.log.level);
          second.reload(next);
        },
      };
    },
  });
  const stop = () => workers.stop();
  for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) runtime.onSignal(signal, stop);
  runtime.onSignal("SIGHUP", () => void reloader.reload());
  ignoreSignals(runtime, log);
  new SecretWatch(() => void reloader.reloadSecrets()).start();
  runtime.exit(await workers.run());
}

/**
 * The port to listen on, found free. A shared port is never "in use" for processes of one user: without this, two
 * systems would share their clients.
 */
function exclusivePort({ host: hostname, port }: Config, runtime: Runtime): number {
  try {
    const probe = runtime.serve({
      hostname,
      port,
      maxFrameBytes: 0,
      backpressureBytes: 0,
      maxRequestBytes: 0,
      fetch: () => new Response("starting\n", { status: 503, headers: { "retry-after": "1" } }),
    });
    void probe.close();
    return probe.port;
  } catch (error) {
    throw new UserError(`cannot listen on ${hostname}, port ${port}: ${(error as Error).message}`);
  }
}

interface WorkersOptions {
  readonly config: Config;
  readonly port: number;
  readonly file: string | undefined;
  readonly log: Logger;
  /** How long a worker may take to listen, ms. */
  readonly startMs: number;
  /** A worker was asked for a reload. */
  readonly reload?: () => Promise<ReloadOutcome>;
  /** Starts a worker's process; for tests. Default: this program again. */
  readonly fork?: (flags: readonly string[], env: NodeJS.ProcessEnv) => ChildProcess;
}

/** The workers of one supervisor, across their lives. */
export class Workers {
  readonly #options: WorkersOptions;
  readonly #slots: readonly Slot[];
  readonly #ended = Promise.withResolvers<number>();
  #state: "starting" | "running" | "leaving" | "killed" = "starting";
  #exitCode = 0;
  readonly #fleet = new FleetReload(() =>
    this.#slots.filter(({ listening }) => listening).map((slot) => this.#worker(slot)),
  );

  readonly #metrics = new FleetMetrics(() =>
    this.#slots.map((slot) => ({ ...slot, worker: slot.listening ? this.#worker(slot) : undefined })),
  );

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#slots = Array.from({ length: options.config.workers }, (_, index) => ({
      number: index + 1,
      child: undefined,
      listening: false,
      listeningSinceMs: 0,
      pauseMs: FIRST_PAUSE_MS,
      restart: undefined,
      ends: 0,
      deadline: undefined,
    }));
  }

  /** Starts all; resolves with the exit code when all have left. */
  run(): Promise<number> {
    for (const slot of this.#slots) this.#start(slot);
    return this.#ended.promise;
  }

  /** The first time all drain, the second time they are killed. */
  stop(): void {
    if (this.#state === "leaving" || this.#state === "killed") {
      this.#options.log.warn("a second signal: exiting at once");
      this.#kill();
    } else this.#leave();
  }

  /** See {@link FleetReload.prepare}. */
  prepare(texts: SettingsTexts): Promise<Prepared> {
    return this.#fleet.prepare(texts);
  }

  get allListen(): boolean {
    return this.#slots.every(({ listening }) => listening);
  }

  /** The metrics of all workers, in Prometheus' text format. */
  metrics(): Promise<string> {
    return this.#metrics.text();
  }

  #worker({ number, child }: Slot): Worker {
    return { number, send: (message) => child?.connected === true && child.send(message) !== undefined };
  }

  #start(slot: Slot): void {
    const { config, port, file } = this.#options;
    const { number } = slot;
    const flags = ["serve", "--worker", `${number}`, ...(file === undefined ? [] : ["--config", file])];
    const { fork = forkSelf } = this.#options;
    const child = fork(flags, {
      ...{ ...process.env, ...memoryShare(config.workers) },
      ...{ INSTANCE_ID: config.instanceId, PORT: `${port}` },
    });
    slot.child = child;
    slot.restart = undefined;
    slot.deadline = setTimeout(() => this.#overdue(slot), this.#options.startMs);
    child.on("message", (message: FromWorker) => void this.#told(slot, message));
    child.on("error", (error) => this.#options.log.error("worker", { worker: number, error }));
    child.on("exit", (code, signal) => this.#exited(slot, code, signal));
  }

  async #told(slot: Slot, message: FromWorker): Promise<void> {
    const { log, reload } = this.#options;
    const worker = this.#worker(slot);
    switch (message.kind) {
      case "prepared":
        return this.#fleet.answered(slot.number, message);
      case "reload":
        if (reload) worker.send({ kind: "reloaded", id: message.id, outcome: await reload() });
        return;
      case "page":
        this.#metrics.answered(slot.number, message);
        return;
      case "scrape":
        worker.send({ kind: "scraped", id: message.id, text: await this.#metrics.text() });
        return;
      case "listening": {
        clearTimeout(slot.deadline);
        slot.listening = true;
        slot.listeningSinceMs = performance.now();
        this.#listens(message.url);
        const problems = await this.#fleet.joined(worker);
        if (problems.length > 0)
          log.error("a worker has different settings", { problems: problems.join("; ") });
        return;
      }
      default:
        unreachable(message);
    }
  }

  /** A worker says nothing and does not end: it never will. */
  #overdue({ number: worker, child }: Slot): void {
    this.#options.log.error("a worker is not listening: stopping it", {
      worker,
      afterMs: this.#options.startMs,
    });
    child?.kill("SIGKILL");
  }

  #listens(url: string): void {
    if (this.#state !== "starting" || !this.allListen) return;
    this.#state = "running";
    const { config, log } = this.#options;
    const { instanceId: instance, region } = config;
    log.info("listening", { url, instance, region, workers: this.#slots.length });
  }

  #exited(slot: Slot, code: number | null, signal: string | null): void {
    const { log } = this.#options;
    const worker = slot.number;
    const livedMs = slot.listening ? performance.now() - slot.listeningSinceMs : 0;
    clearTimeout(slot.deadline);
    slot.child = undefined;
    slot.listening = false;
    this.#fleet.left(worker);
    this.#metrics.left(worker);
    switch (this.#state) {
      case "running": {
        slot.ends++;
        if (livedMs > WELL_MS) slot.pauseMs = FIRST_PAUSE_MS;
        log.error("a worker has ended", { worker, code, signal, restartMs: slot.pauseMs });
        slot.restart = setTimeout(() => this.#start(slot), slot.pauseMs);
        slot.pauseMs = Math.min(slot.pauseMs * 2, LONGEST_PAUSE_MS);
        return;
      }
      case "starting":
        // Whatever it was, it has said so; settings that start no worker will not start the next one either.
        log.error("a worker did not start", { worker, code, signal });
        this.#exitCode = 1;
        this.#leave();
        return;
      default:
        // One that was told to leave before it could listen to that ends by the signal itself.
        if (code !== 0 && (livedMs > 0 || signal !== "SIGTERM")) this.#exitCode = 1;
        this.#endIfAllLeft();
    }
  }

  #leave(): void {
    this.#state = "leaving";
    this.#options.log.info("leaving", { workers: this.#slots.filter(({ child }) => child).length });
    for (const { child, listening, restart } of this.#slots) {
      clearTimeout(restart);
      // One that is still starting has nothing to drain, and does not listen to orders yet.
      if (listening) child?.send({ kind: "leave" } satisfies ToWorker);
      else child?.kill("SIGTERM");
    }
    this.#endIfAllLeft();
  }

  #kill(): void {
    this.#state = "killed";
    this.#exitCode = 1;
    for (const { child } of this.#slots) child?.kill("SIGKILL");
  }

  #endIfAllLeft(): void {
    if (this.#slots.some(({ child }) => child)) return;
    this.#options.log.info("all workers have left", { code: this.#exitCode });
    this.#ended.resolve(this.#exitCode);
  }
}

/** Starts this program again, with a channel to it. */
function forkSelf(flags: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, ownArguments(...flags), {
    ...{ env, stdio: ["ignore", "inherit", "inherit", "ipc"] },
  });
}
