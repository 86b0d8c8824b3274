import { type Config, settingsInForce } from "../config.ts";
import type { Logger } from "../core/log.ts";
import type { RunningGateway } from "../gateway/create.ts";
import { type Assets, loadAssets } from "../http/assets.ts";
import { consoleApp } from "../http/console/app.ts";

/** What the console of an instance is made of. */
export interface ConsoleOptions {
  readonly config: Config;
  /** Those in force now. */
  readonly inForce: () => Config;
  readonly version: string;
  readonly gateway: RunningGateway;
  /** Everybody may do everything. */
  readonly open: boolean;
  readonly log: Logger;
}

export type Console = ReturnType<typeof consoleApp>;

/** The console, as far as anybody may use it. */
export async function createConsole(options: ConsoleOptions): Promise<Console | undefined> {
  const { config, inForce, version, gateway, open } = options;
  if (config.console.tokens.length === 0 && !open) return undefined;
  const { operations, oversight, context } = gateway;
  return consoleApp({
    ...{ operations, oversight, version, instance: config.instanceId, region: config.region },
    access: { tokens: config.console.tokens, open },
    assets: await pageAssets(),
    settings: () => settingsInForce(inForce()),
    broker: () => context.broker.status(),
    presence: () => context.presence.status(),
    log: options.log.with({ at: "console" }),
  });
}

/** What it shares with the demo page. */
const SHARED = ["/style.css", "/icon.svg"];

async function pageAssets(): Promise<Assets> {
  const [shared, own] = await Promise.all([loadAssets("console"), loadAssets("console/admin")]);
  return new Map([...[...shared].filter(([path]) => SHARED.includes(path)), ...own]);
}
