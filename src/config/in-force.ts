import { isDeepStrictEqual } from "node:util";
import { NAMESPACE_DEFAULTS, type NamespaceRules } from "../core/namespace.ts";
import { showNamespace } from "./namespaces.ts";
import { type Setting, shown } from "./setting.ts";
import { type Config, settings } from "./table.ts";

/** One setting as it is now, for people: secrets are not in it. */
export interface SettingInForce {
  readonly key: string;
  /** As the file would hold it; `***` for a secret. */
  readonly value: unknown;
  /** It is what holds when nothing sets it. */
  readonly standard: boolean;
  readonly doc?: string;
}

/** Every setting of a running instance, wherever it came from. */
export function settingsInForce(config: Config): SettingInForce[] {
  const rows = Object.entries<Setting>(settings).map(([key, setting]): SettingInForce => {
    const value = valueAt(config, key + setting.unit);
    const standard = isDeepStrictEqual(value, setting.fallback);
    return { key, value: shown(setting, value), standard, doc: setting.doc };
  });
  return [...rows, ...[...config.namespaces.values()].flatMap(rulesInForce)];
}

function rulesInForce(rules: NamespaceRules): SettingInForce[] {
  const standard = showNamespace({ ...NAMESPACE_DEFAULTS, name: rules.name }) as Readonly<
    Record<string, unknown>
  >;
  return Object.entries(showNamespace(rules) as object).map(([name, value]) => ({
    ...{ key: `namespaces.${rules.name}.${name}`, value },
    standard: isDeepStrictEqual(value, standard[name]),
  }));
}

function valueAt(config: Config, path: string): unknown {
  let value: unknown = config;
  for (const part of path.split(".")) value = (value as Readonly<Record<string, unknown>>)[part];
  return value;
}
