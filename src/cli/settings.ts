import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import process from "node:process";
import {
  CONFIG_VARIABLE,
  type Config,
  type Effective,
  limitConflicts,
  loadConfig,
  secretFiles,
  startRefusals,
} from "../config.ts";
import type { Logger } from "../core/log.ts";
import { UserError } from "./output.ts";

export interface SettingsOptions {
  /** `--config`; without it `TRUNKLINE_CONFIG`; without that no file is read. */
  readonly file?: string | undefined;
  /** Flags of the command line, by settings key. */
  readonly overrides?: Readonly<Record<string, unknown>>;
  readonly profile?: "serve" | "dev";
}

/** The settings cannot be used; the message lists every problem. */
export class SettingsError extends UserError {
  readonly problems: readonly string[];

  constructor(title: string, problems: readonly string[]) {
    super(`${title}\n${problems.map((text) => `  ${text}`).join("\n")}`);
    this.problems = problems;
  }
}

/** What settings are read from beside flags and environment: all of it, at one moment. */
export interface SettingsTexts {
  /** The configuration file; absent without one. */
  readonly file?: string | undefined;
  /** What the files of secrets hold, by path; those that could not be read are absent. */
  readonly secrets: Readonly<Record<string, string>>;
}

/** Where settings came from, and what stood there. */
export interface SettingsSource {
  readonly settings: SettingsOptions;
  readonly texts: SettingsTexts;
}

/** Reads the configuration file and the files of secrets. @throws UserError when the configuration file cannot be read */
export async function readTexts({ file }: Pick<SettingsOptions, "file">): Promise<SettingsTexts> {
  const path = file ?? process.env[CONFIG_VARIABLE];
  return { file: path ? await readConfigFile(path) : undefined, secrets: readSecrets() };
}

/** As they are now. */
export function readSecrets(): SettingsTexts["secrets"] {
  const secrets: Record<string, string> = {};
  for (const secret of secretFiles(process.env).values()) {
    try {
      secrets[secret] = readFileSync(secret, "utf8");
    } catch {
      // Whoever looks for it says so.
    }
  }
  return secrets;
}

/**
 * The settings in effect, from flags, environment and file. @throws SettingsError with every problem at once; UserError
 * when the file cannot be read
 */
export async function readSettings(
  options: SettingsOptions,
  texts?: SettingsTexts,
): Promise<{ config: Config; effective: readonly Effective[]; refusals: readonly string[] }> {
  const { overrides = {}, profile = "serve" } = options;
  const { file, secrets } = texts ?? (await readTexts(options));
  const readSecret = (path: string) => secrets[path] ?? readFileSync(path, "utf8");
  const result = loadConfig({ env: process.env, file, overrides, profile, readSecret });
  if (result.problems) throw new SettingsError("the settings have mistakes:", result.problems);
  return { ...result, refusals: [...startRefusals(result.config)] };
}

/** As {@link readSettings}, for commands that start an instance: what `serve` refuses is a problem too. */
export async function startSettings(options: SettingsOptions, texts?: SettingsTexts): Promise<Config> {
  const settings = await readSettings(options, texts);
  if (settings.refusals.length > 0) throw new SettingsError("refusing to start:", settings.refusals);
  return settings.config;
}

/** Whether strangers may reach the instance, with no proxy before it that it knows of. */
export function isBare({ host, proxy }: Config): boolean {
  return proxy.trust === "none" && !/^(127\.|::1$|localhost$)/.test(host);
}

/** Names limits that do not let through what others allow, at a start. */
export function warnOfLimits(config: Config, log: Logger): void {
  for (const conflict of limitConflicts(config)) log.warn("settings contradict each other", { conflict });
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
