import { meant } from "../core/meant.ts";
import type { Namespaces } from "../core/namespace.ts";
import { crossChecks } from "./cross-checks.ts";
import { readNamespaces, showNamespace } from "./namespaces.ts";
import { made, type Setting, shown } from "./setting.ts";
import {
  CONFIG_VARIABLE,
  type Config,
  SECRET_FILE,
  secretFileVariable,
  settings,
  variablesOf,
} from "./table.ts";
import { check, isObject, nest, takeApart } from "./tree.ts";

/** Where settings come from. Later ones give way to earlier ones: overrides, environment, file, defaults. */
export interface ConfigSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Text of the configuration file, if there is one. */
  readonly file?: string | undefined;
  /** Values by key, as the file or (when text) the environment would hold them: flags of the command line. */
  readonly overrides?: Readonly<Record<string, unknown>>;
  /** `dev`: the defaults of `trunkline dev`. */
  readonly profile?: "serve" | "dev";
  /** What is in a file that a `…_FILE` variable names. Absent: such variables are not read. @throws Error with a `code` */
  readonly readSecret?: (path: string) => string;
}

/** One setting as it is in effect, for people: secrets are not in it. */
export interface Effective {
  readonly key: string;
  /** As the file would hold it; `***` for a secret. */
  readonly value: unknown;
  /** `flag`, the name of the environment variable (`…_FILE` for a secret in a file of its own), `file`, `dev`, `insecure` or `default`. */
  readonly source: string;
}

export type LoadResult =
  | { readonly config: Config; readonly effective: readonly Effective[]; readonly problems?: undefined }
  | { readonly problems: readonly string[] };

/**
 * Reads every setting from its sources, and finds every problem in all of them at once. An environment variable that
 * is empty is not set.
 */
export function loadConfig(sources: ConfigSources): LoadResult {
  const problems: string[] = [];
  const report = (text: string) => void problems.push(text);
  const { namespaces: givenNamespaces, ...file } = parseFile(sources.file, report);
  refuseUnknownVariables(sources.env, report);

  const fromFile = takeApart(file, settings, "", report);
  const env = withSecretFiles(sources, report);
  const found = new Map<string, { value: unknown; source: string }>();
  for (const [key, setting] of Object.entries<Setting>(settings)) {
    for (const { raw, source } of candidates(key, setting, { ...sources, env }, fromFile)) {
      const result = check(setting, raw, { key, source }, report);
      if (result && !found.has(key)) found.set(key, { ...result, source });
    }
  }
  const dev = sources.profile === "dev";
  const insecure = found.get("insecure")?.value ?? dev;
  for (const [key, setting] of Object.entries<Setting>(settings)) {
    if (!found.has(key)) found.set(key, standard(setting, dev, insecure === true));
  }

  const values = nest(settings, (key) => found.get(key)!.value);
  const namespaces = readNamespaces(givenNamespaces, report, values.nats.home);
  const config: Config = { ...values, namespaces };
  for (const problem of crossChecks(config)) report(problem);
  if (problems.length > 0) return { problems };
  return { config, effective: effective(found, namespaces, givenNamespaces) };
}

function* candidates(
  key: string,
  setting: Setting,
  { env, overrides }: ConfigSources,
  fromFile: ReadonlyMap<string, unknown>,
): Generator<{ raw: unknown; source: string }> {
  const override = overrides?.[key];
  if (override !== undefined) {
    yield { raw: typeof override === "string" ? setting.fromEnv(override) : override, source: "flag" };
  }
  for (const name of variablesOf(key, setting)) {
    const file = secretFileVariable(name, setting);
    const variable = [name, ...(file === undefined ? [] : [file])].find((one) => env[one]);
    if (variable === undefined) continue;
    yield { raw: setting.fromEnv(env[variable]!), source: variable };
    break;
  }
  if (fromFile.has(key)) yield { raw: fromFile.get(key), source: "file" };
}

/** The environment with the contents of secret files in place of their paths. */
function withSecretFiles(
  { env, readSecret }: ConfigSources,
  report: (text: string) => void,
): ConfigSources["env"] {
  const read: Record<string, string | undefined> = { ...env };
  for (const [variable, path] of secretFiles(env)) {
    const plain = variable.slice(0, -SECRET_FILE.length);
    read[variable] = undefined;
    if (env[plain]) report(`${plain} and ${variable} (environment): only one can be used; unset the other`);
    else if (readSecret === undefined)
      report(`${variable} (environment): files are not read here; set ${plain}`);
    else {
      try {
        // Whoever writes such a file ends its line.
        read[variable] = readSecret(path).replace(/\r?\n$/, "");
        if (read[variable] === "") report(`${variable} (environment): ${path} is empty`);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code ?? "unreadable";
        report(`${variable} (environment): cannot read ${path} (${code})`);
      }
    }
  }
  return read;
}

/** The `…_FILE` variables of secrets that are set, each with the path it holds. */
export function secretFiles(env: ConfigSources["env"]): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const [key, setting] of Object.entries<Setting>(settings)) {
    for (const name of variablesOf(key, setting)) {
      const file = secretFileVariable(name, setting);
      if (file !== undefined && env[file]) files.set(file, env[file]);
    }
  }
  return files;
}

/** What holds when nothing sets it. */
function standard(setting: Setting, dev: boolean, insecure: boolean): { value: unknown; source: string } {
  if (dev && setting.dev !== undefined) return { value: made(setting.dev), source: "dev" };
  if (insecure && setting.insecure !== undefined) return { value: setting.insecure, source: "insecure" };
  return { value: made(setting.fallback), source: "default" };
}

function parseFile(text: string | undefined, report: (text: string) => void): Record<string, unknown> {
  if (text === undefined) return {};
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch (error) {
    // The parser's own message may quote the file, secrets included: only the place is taken from it.
    const place = /line \d+ column \d+/.exec(String(error))?.[0];
    report(`the configuration file is not valid JSON${place ? `: look at ${place}` : ""}`);
    return {};
  }
  if (!isObject(file)) {
    report("the configuration file must hold one JSON object");
    return {};
  }
  const { $schema: _, ...rest } = file;
  return rest;
}

function refuseUnknownVariables(env: ConfigSources["env"], report: (text: string) => void): void {
  const known = new Set([CONFIG_VARIABLE]);
  for (const [key, setting] of Object.entries<Setting>(settings)) {
    for (const name of variablesOf(key, setting)) {
      known.add(name);
      const file = secretFileVariable(name, setting);
      if (file !== undefined) known.add(file);
    }
  }
  for (const name of Object.keys(env)) {
    if (!name.startsWith("TRUNKLINE_") || known.has(name)) continue;
    const ours = [...known].filter((other) => other.startsWith("TRUNKLINE_"));
    report(`${name} (environment): unknown variable${meant(name, ours)}`);
  }
}

function effective(
  found: ReadonlyMap<string, { value: unknown; source: string }>,
  namespaces: Namespaces,
  given: unknown,
): Effective[] {
  const rows: Effective[] = Object.entries<Setting>(settings).map(([key, setting]) => {
    const { value, source } = found.get(key)!;
    return { key, value: shown(setting, value), source };
  });
  for (const rules of namespaces.values()) {
    const source = isObject(given) && Object.hasOwn(given, rules.name) ? "file" : "default";
    rows.push({ key: `namespaces.${rules.name}`, value: showNamespace(rules), source });
  }
  return rows;
}
