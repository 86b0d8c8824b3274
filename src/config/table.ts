import type { Namespaces } from "../core/namespace.ts";
import type { Setting } from "./setting.ts";
import { callouts } from "./table-callouts.ts";
import { compression } from "./table-compression.ts";
import { gateway } from "./table-gateway.ts";
import { instance } from "./table-instance.ts";
import { proxy } from "./table-proxy.ts";
import { trouble } from "./table-trouble.ts";
import type { Values } from "./tree.ts";

/** The one table: every setting by its key in the configuration file. Namespaces have a table of their own. */
export const settings = {
  ...{ ...instance, ...callouts, ...gateway, ...proxy, ...trouble, ...compression },
} as const;

/** All settings of an instance, as plain values: durations in ms (`…Ms`), sizes in bytes (`…Bytes`). */
export type Config = Values<typeof settings> & { readonly namespaces: Namespaces };

/** What stands above the settings of a group (the first part of their keys) in the documentation. */
export const GROUPS: Readonly<Record<string, string>> = {
  "": "Instance",
  tls: "TLS to clients",
  nats: "NATS",
  upstash: "Redis over REST",
  redis: "Redis",
  presence: "Presence",
  auth: "Who may connect",
  callouts: "Callouts over HTTP",
  apps: "Pusher apps",
  webhooks: "Webhooks",
  api: "Server API",
  console: "Console",
  http: "Front door",
  proxy: "Trusted proxy",
  limits: "Limits",
  compression: "Compression",
  ping: "Liveness",
  rpc: "Remote procedure calls",
  channels: "Live channels",
  drain: "Drain",
  overload: "Overload",
  health: "Health",
  admin: "Second port",
  tracing: "Distributed traces",
  trace: "Live traces",
  log: "Log",
};

/** The environment variables of a setting, the first one being its name. */
export function variablesOf(key: string, setting: Setting): readonly string[] {
  if (setting.fileOnly) return [];
  const name = key.replace(/[A-Z]/g, (capital) => `_${capital}`).replaceAll(".", "_");
  return setting.env ?? [`TRUNKLINE_${name.toUpperCase()}`];
}

/** Ends the variable that names the file of a secret. */
export const SECRET_FILE = "_FILE";

/**
 * The variable that names a file with the value of a secret's variable in it; `undefined` where there is none: for what
 * is no secret, and where a setting of its own has that name (`nats.credentialsFile`).
 */
export function secretFileVariable(name: string, { secret }: Setting): string | undefined {
  const file = name + SECRET_FILE;
  return secret === undefined || plainVariables().has(file) ? undefined : file;
}

let plain: ReadonlySet<string> | undefined;

function plainVariables(): ReadonlySet<string> {
  plain ??= new Set(Object.entries<Setting>(settings).flatMap(([key, one]) => variablesOf(key, one)));
  return plain;
}

/** The name of the variable that holds the configuration file's path; the only one that is no setting. */
export const CONFIG_VARIABLE = "TRUNKLINE_CONFIG";
