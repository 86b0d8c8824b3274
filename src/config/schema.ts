import { z } from "zod";
import { NAMESPACE_PATTERN } from "../core/channel.ts";
import { namespaceSettings } from "./namespaces.ts";
import { type Setting, shown } from "./setting.ts";
import { settings } from "./table.ts";
import { isGroup, type Table } from "./tree.ts";

type Json = Record<string, unknown>;

/** The JSON Schema (draft 2020-12) of the configuration file. */
export function configSchema(): Json {
  const { history, ...rules } = properties(namespaceSettings, "");
  const namespace = object({ history: { anyOf: [history, { type: "null" }] }, ...rules });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Trunkline configuration",
    ...object({
      $schema: { type: "string" },
      ...properties(settings, ""),
      namespaces: {
        description:
          "Rules of channels by namespace. Adds to the built-in ones and changes them; null takes one away.",
        type: "object",
        propertyNames: { pattern: NAMESPACE_PATTERN.source },
        additionalProperties: { anyOf: [namespace, { type: "null" }] },
      },
    }),
  };
}

function object(members: Json): Json {
  return { type: "object", additionalProperties: false, properties: members };
}

function properties(table: Table, prefix: string): Json {
  const members: Json = {};
  for (const key of Object.keys(table)) {
    if (!key.startsWith(prefix)) continue;
    const name = key.slice(prefix.length).split(".")[0]!;
    const path = prefix + name;
    members[name] ??= isGroup(table, path) ? object(properties(table, `${path}.`)) : leaf(table[path]!);
  }
  return members;
}

function leaf(setting: Setting): Json {
  const { $schema: _, ...schema } = z.toJSONSchema(setting.schema(), { io: "input" });
  const { fallback, fallbackText } = setting;
  const constant = fallback !== undefined && fallbackText === undefined && typeof fallback !== "function";
  return {
    description: `${setting.doc} Allowed: ${setting.what}.`.replaceAll("`", ""),
    ...schema,
    ...(constant && { default: shown(setting, fallback) }),
  };
}
