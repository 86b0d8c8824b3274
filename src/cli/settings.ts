import { readFile } from "node:fs/promises";
import process from "node:process";
import { CONFIG_VARIABLE, type Config, type Effective, loadConfig, refusals } from "../config.ts";
import { UserError } from "./output.ts";

export interface SettingsOptions {
  /** `--config`; without it `TRUNKLINE_CONFIG`; without that no file is read. */
  readonly file?: string | undefined;
  /** Flags of the command line, by settings key. */
  readonly overrides?: Readonly<Record<string, unknown>>;
  readonly profile?: "serve" | "dev";
}

/** The settings cannot be used; the message lists every mistake. */
export class SettingsError extends UserError {
  readonly mistakes: readonly string[];

  constructor(title: string, mistakes: readonly string[]) {
    super(`${title}\n${mistakes.map((text) => `  ${text}`).join("\n")}`);
    this.mistakes = mistakes;
  }
}

/**
 * The settings in effect, from flags, environment and file. @throws SettingsError with every mistake at once; UserError
 * when the file cannot be read
 */
export async function readSettings(
  options: SettingsOptions,
): Promise<{ config: Config; effective: readonly Effective[]; refusals: readonly string[] }> {
  const path = options.file ?? process.env[CONFIG_VARIABLE];
  const { overrides = {}, profile = "serve" } = options;
  const result = loadConfig({
    env: process.env,
    file: path ? await readConfigFile(path) : undefined,
    overrides,
    profile,
  });
  if (result.mistakes) throw new SettingsError("the settings have mistakes:", result.mistakes);
  return { ...result, refusals: [...refusals(result.config)] };
}

/** As {@link readSettings}, for commands that start an instance: what `serve` refuses is a mistake too. */
export async function startSettings(options: SettingsOptions): Promise<Config> {
  const settings = await readSettings(options);
  if (settings.refusals.length > 0) throw new SettingsError("refusing to start:", settings.refusals);
  return settings.config;
}

async function readConfigFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unreadable";
    throw new UserError(
      `cannot read the configuration file ${path} (${code}); check --config or ${CONFIG_VARIABLE}`,
    );
  }
}
