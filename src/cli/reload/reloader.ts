import { type Change, type Config, changesOf } from "../../config.ts";
import type { Logger } from "../../core/log.ts";
import type { ReloadOutcome } from "../../http/admin.ts";
import { UserError } from "../output.ts";
import {
  readSecrets,
  readSettings,
  readTexts,
  SettingsError,
  type SettingsOptions,
  type SettingsTexts,
} from "../settings.ts";
import type { Prepared } from "./drivers.ts";

export interface ReloaderOptions {
  /** As they are in effect. */
  readonly config: Config;
  /** Where they came from, and what stood there. */
  readonly settings: SettingsOptions;
  readonly texts: SettingsTexts;
  /** Gets whatever runs on them ready for others. @throws Error that says why they cannot be used */
  readonly prepare: (next: Config, texts: SettingsTexts) => Promise<Prepared>;
  readonly log: Logger;
}

/** Other settings, checked and ready to be taken over. */
export interface PreparedReload extends Prepared {
  readonly changes: readonly Change[];
}

/** Most changes that are logged one by one. */
const LOGGED_CHANGES = 100;

/**
 * Takes over changed settings without a restart, all or none: they are read and checked as at a start, whatever needs a
 * restart refuses them all, and what they need is made before anything of them holds.
 */
export class Reloader {
  readonly #options: ReloaderOptions;
  #config: Config;
  /** What the settings in effect were read from. */
  #texts: SettingsTexts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#texts = options.texts;
  }

  /**
   * Reads the settings and takes them over; one after another. Never rejects.
   * @param texts what to read them from; default: the files as they are now
   */
  reload(texts?: SettingsTexts): Promise<ReloadOutcome> {
    const outcome = this.#last.then(() => this.#reload(texts));
    this.#last = outcome;
    return outcome;
  }

  /** Reads the files of secrets alone: the configuration file may be in the middle of being edited. Never rejects. */
  async reloadSecrets(): Promise<ReloadOutcome> {
    return await this.reload({ ...this.#texts, secrets: readSecrets() });
  }

  /** The first half of {@link reload}: whoever calls it must not begin another one before this one has ended. */
  async prepare(given?: SettingsTexts): Promise<PreparedReload> {
    const { settings, prepare } = this.#options;
    const texts = given ?? (await readTexts(settings));
    const next = await this.#read(texts);
    const { live, restart } = changesOf(this.#config, next);
    if (restart.length > 0) {
      const keys = restart.map(({ key }) => key).join(", ");
      throw new SettingsError("nothing was changed:", [
        `${keys}: it takes a restart; set it back, or restart`,
      ]);
    }
    const { commit, abandon } = await prepare(next, texts);
    return {
      changes: live,
      abandon,
      commit: () => {
        commit();
        this.#config = next;
        this.#texts = texts;
        this.#say(live);
      },
    };
  }

  async #reload(texts: SettingsTexts | undefined): Promise<ReloadOutcome> {
    try {
      const { commit, changes } = await this.prepare(texts);
      commit();
      return { reloaded: true, changes, problems: [] };
    } catch (error) {
      const problems = problemsOf(error);
      this.#options.log.error("settings not reloaded: the previous ones stay in force", {
        problems: problems.join("; "),
      });
      return { reloaded: false, changes: [], problems };
    }
  }

  /** @throws SettingsError, UserError */
  async #read(texts: SettingsTexts): Promise<Config> {
    const { config, effective, refusals } = await readSettings(this.#options.settings, texts);
    if (refusals.length > 0) throw new SettingsError("nothing was changed:", refusals);
    const named = effective.some(({ key, source }) => key === "instanceId" && source !== "default");
    // It is made up at each start.
    return named ? config : { ...config, instanceId: this.#config.instanceId };
  }

  #say(changes: readonly Change[]): void {
    const { log } = this.#options;
    for (const { key, from, to } of changes.slice(0, LOGGED_CHANGES)) {
      log.info("setting changed", { key, from: text(from), to: text(to) });
    }
    log.info("settings reloaded", { changes: changes.length });
  }
}

/** What is wrong, in words for operators. */
export function problemsOf(error: unknown): readonly string[] {
  if (error instanceof SettingsError) return error.problems;
  if (error instanceof UserError || error instanceof Error) return [error.message];
  return [String(error)];
}

function text(value: unknown): unknown {
  return typeof value === "object" ? JSON.stringify(value) : value;
}
