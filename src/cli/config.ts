import process from "node:process";
import { configMarkdown, configSchema, type Effective } from "../config.ts";
import { accountConfig } from "./nats-account.ts";
import { columns, paint, print, printError } from "./output.ts";
import { readSettings } from "./settings.ts";

export interface ConfigOptions {
  readonly config?: string;
  readonly dev?: boolean;
  readonly json?: boolean;
  readonly schema?: boolean;
  readonly docs?: boolean;
  readonly nats?: boolean;
}

/**
 * `trunkline config`: the settings in effect and where each came from, without secrets; or schema, or docs, or what
 * nats-server needs to know of them.
 */
export async function config(options: ConfigOptions): Promise<void> {
  if (options.schema) return print(JSON.stringify(configSchema(), null, 2));
  if (options.docs) return print(configMarkdown().trimEnd());
  const settings = await readSettings({ file: options.config, profile: options.dev ? "dev" : "serve" });
  if (options.nats) {
    const { nats, namespaces } = settings.config;
    return print(accountConfig({ root: nats.root, namespaces }));
  }
  const asTable = process.stdout.isTTY && !options.json;
  print(asTable ? toTable(settings.effective) : toJson(settings.effective));
  for (const refusal of settings.refusals)
    printError(`\n${paint("yellow", "serve would not start", process.stderr)}: ${refusal}`);
}

function toJson(effective: readonly Effective[]): string {
  const settings = effective.map(({ key, value, source }) => [key, { value, source }]);
  return JSON.stringify(Object.fromEntries(settings), null, 2);
}

function toTable(effective: readonly Effective[]): string {
  return columns(
    effective
      .flatMap(leaves)
      .map(({ key, value, source }) => [
        source === "default" ? key : paint("bold", key),
        source === "default" ? source : paint("cyan", source),
        value === null ? "-" : typeof value === "string" ? value : JSON.stringify(value),
      ]),
  );
}

/** One line for each rule of a namespace. */
function leaves({ key, value, source }: Effective): Effective[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [{ key, value, source }];
  return Object.entries(value).flatMap(([name, part]) =>
    leaves({ key: `${key}.${name}`, value: part, source }),
  );
}
