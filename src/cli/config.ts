import process from "node:process";
import { type Config, configMarkdown, configSchema, type Effective } from "../config.ts";
import { subjects } from "../core/subject.ts";
import { accountConfig } from "./nats/account.ts";
import { CONSUMER_PATTERN, rolesOf } from "./nats/roles.ts";
import { columns, paint, print, printError, UserError } from "./output.ts";
import { readSettings } from "./settings.ts";

export interface ConfigOptions {
  readonly config?: string;
  readonly dev?: boolean;
  readonly json?: boolean;
  readonly schema?: boolean;
  readonly docs?: boolean;
  readonly nats?: boolean;
  /** Which reference to print. */
  readonly reference?: string;
  readonly version: string;
  /** With `nats`: names of durable consumers of events, separated by commas. */
  readonly consumers?: string;
  /** With `nats`: a folder for accounts as JWTs with nkeys, instead of users with passwords. */
  readonly jwt?: string;
}

/**
 * `trunkline config`: the settings in effect and where each came from, without secrets; or schema, or docs, or what
 * nats-server needs to know of them.
 */
export async function config(options: ConfigOptions): Promise<void> {
  if (options.schema) return print(JSON.stringify(configSchema(), null, 2));
  if (options.reference !== undefined) {
    const { reference } = await import("./reference/pages.ts");
    return print(reference(options.reference, options.version));
  }
  if (options.docs) return print(configMarkdown().trimEnd());
  const settings = await readSettings({ file: options.config, profile: options.dev ? "dev" : "serve" });
  if (options.nats) return await natsAccounts(settings.config, options);
  const asTable = process.stdout.isTTY && !options.json;
  print(asTable ? toTable(settings.effective) : toJson(settings.effective));
  for (const refusal of settings.refusals)
    printError(`\n${paint("yellow", "serve would not start", process.stderr)}: ${refusal}`);
}

async function natsAccounts({ nats, namespaces }: Config, { consumers, jwt }: ConfigOptions): Promise<void> {
  const names = consumers?.split(",").map((name) => name.trim());
  const account = { root: nats.root, namespaces, consumers: names && checkedConsumers(names) };
  if (jwt === undefined) return print(accountConfig(account));
  const { writeAccounts } = await import("./nats/jwt-accounts.ts");
  print(await writeAccounts(jwt, account));
}

/** @throws UserError */
function checkedConsumers(names: readonly string[]): readonly string[] {
  const taken = rolesOf(subjects(), []).map(({ name }) => name);
  const wrong = names.find(
    (name, at) => !CONSUMER_PATTERN.test(name) || taken.includes(name) || names.indexOf(name) !== at,
  );
  if (wrong === undefined) return names;
  throw new UserError(
    `--consumers: ${wrong} is no name for a consumer: up to 32 of a-z, 0-9 and _, a letter first, no role's name, each once`,
  );
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
        value === undefined || value === null
          ? "-"
          : typeof value === "string"
            ? value
            : JSON.stringify(value),
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
