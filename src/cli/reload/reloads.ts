import type { Config } from "../../config.ts";
import type { Logger } from "../../core/log.ts";
import type { Instance, InstanceParts } from "../instance-parts.ts";
import { UserError } from "../output.ts";
import type { SettingsSource } from "../settings.ts";
import type { FromWorker } from "./messages.ts";
import { Reloader } from "./reloader.ts";
import { SecretWatch } from "./secret-watch.ts";
import { WorkerReloads } from "./worker.ts";

export interface ReloadOptions {
  /** Where the settings came from; absent: they cannot be reloaded. */
  readonly source?: SettingsSource;
  /** What of the settings is a worker's own. */
  readonly asWorker?: (config: Config) => Config;
  /** Whoever reloads for all workers; absent: this process reloads by itself. */
  readonly supervisor?: { readonly send: (message: FromWorker) => void };
  /** How often files of secrets are looked at, ms. Default: that of {@link SecretWatch}. */
  readonly lookMs?: number;
}

/** The ways to a reload of one process. */
export class Reloads {
  /** What the supervisor's messages are for. */
  readonly ofSupervisor: WorkerReloads | undefined;
  /** Asks for one; absent where the settings cannot be read again. */
  readonly reload: InstanceParts["reload"];
  readonly #reloader: Reloader | undefined;
  readonly #watch: SecretWatch | undefined;
  #instance: Instance | undefined;

  constructor(config: Config, options: ReloadOptions, log: Logger) {
    const { source, supervisor, lookMs, asWorker = (same) => same } = options;
    if (!source) return;
    const reloader = new Reloader({
      ...{ config, ...source, log: log.with({ at: "settings" }) },
      prepare: async (next) => {
        if (!this.#instance) throw new UserError("the instance is not running; try again");
        return await this.#instance.prepare(asWorker(next));
      },
    });
    this.#reloader = reloader;
    const ofSupervisor = supervisor && new WorkerReloads(reloader, supervisor.send);
    this.ofSupervisor = ofSupervisor;
    this.reload = ofSupervisor ? () => ofSupervisor.ask() : () => reloader.reload();
    if (!supervisor) this.#watch = new SecretWatch(() => void reloader.reloadSecrets(), lookMs);
  }

  /** A signal asks for it. A terminal's reaches supervisor and workers alike: the supervisor sees to it. */
  signalled(): void {
    if (!this.ofSupervisor) void this.#reloader?.reload();
  }

  start(instance: Instance): void {
    this.#instance = instance;
    this.#watch?.start();
  }

  stop(): void {
    this.#instance = undefined;
    this.#watch?.stop();
  }
}
