import type { z } from "zod";
import { meant } from "../core/meant.ts";
import type { Setting } from "./setting.ts";

/** Rows by dotted key. */
export type Table = Readonly<Record<string, Setting>>;

type Head<K> = K extends `${infer H}.${string}` ? H : K;

/** `{"a.b": X, "a.c": Y, d: Z}` → `{a: {b: X, c: Y}, d: Z}` */
type Nest<F> = {
  readonly [H in Head<keyof F & string>]: H extends keyof F
    ? F[H]
    : Nest<{ [K in keyof F as K extends `${H}.${infer Rest}` ? Rest : never]: F[K] }>;
};

/** The values of a table as code reads them: nested, each name ending in its unit. */
export type Values<T extends Table> = Nest<{
  [K in keyof T & string as `${K}${T[K]["unit"]}`]: z.output<ReturnType<T[K]["schema"]>>;
}>;

/** The object of {@link Values}, from the value of every key. */
export function nest<T extends Table>(table: T, value: (key: string) => unknown): Values<T> {
  const root: Record<string, unknown> = {};
  for (const [key, { unit }] of Object.entries(table)) {
    const path = key.split(".");
    const last = path.pop()!;
    let object = root;
    for (const part of path) {
      object[part] ??= {};
      object = object[part] as Record<string, unknown>;
    }
    object[last + unit] = value(key);
  }
  return root as Values<T>;
}

/** Whether some key of the table begins with this one and a dot. */
export function isGroup(table: Table, key: string): boolean {
  return Object.keys(table).some((other) => other.startsWith(`${key}.`));
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Takes an object of the file apart, by the table's keys. What the table does not know is a problem.
 * @param at where the object stands in the file: "" or "namespaces.chat."
 */
export function takeApart(
  object: Record<string, unknown>,
  table: Table,
  at: string,
  report: (text: string) => void,
): Map<string, unknown> {
  const found = new Map<string, unknown>();
  const walk = (part: Record<string, unknown>, prefix: string) => {
    for (const [name, value] of Object.entries(part)) {
      const key = prefix + name;
      if (Object.hasOwn(table, key)) found.set(key, value);
      else if (!isGroup(table, key))
        report(`${at}${key} (file): unknown key${meantKey(table, prefix, name)}`);
      else if (isObject(value)) walk(value, `${key}.`);
      else report(`${at}${key} (file): it must be an object`);
    }
  };
  walk(object, "");
  return found;
}

/** The key that may be meant for one that there is not: one beside it, or else any. */
function meantKey(table: Table, prefix: string, name: string): string {
  const beside = Object.keys(table).flatMap((key) =>
    key.startsWith(prefix) ? [key.slice(prefix.length).split(".")[0]!] : [],
  );
  return meant(name, beside, prefix) || meant(prefix + name, Object.keys(table));
}

/** Checks one raw value. Reported problems name the key and where it was said, and never show a secret. */
export function check(
  setting: Setting,
  raw: unknown,
  { key, source }: { readonly key: string; readonly source: string },
  report: (text: string) => void,
): { readonly value: unknown } | undefined {
  const schema = setting.schema();
  const result = schema.safeParse(raw);
  if (result.success) return { value: result.data };
  const texts = result.error.issues.map((issue) => {
    const path = issue.path
      .map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`))
      .join("");
    if (issue.code === "unrecognized_keys")
      return `${key}${path} (${source}): unknown key ${issue.keys.map((name) => name + meant(name, namesAt(schema, issue.path))).join(", ")}`;
    const value = issue.path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown>)?.[part], raw);
    return `${key}${path} (${source}): ${issue.message}${setting.secret ? "" : `, not ${brief(value)}`}`;
  });
  for (const text of new Set(texts)) report(text);
  return undefined;
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

/** The members that an object may have at a place within a shape; none where it is not known. */
function namesAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  const [next, ...rest] = path;
  switch (def.type) {
    case "object":
      if (next === undefined) return Object.keys(def.shape);
      return Object.hasOwn(def.shape, next) ? namesAt(def.shape[String(next)]!, rest) : [];
    case "array":
      return namesAt(def.element, rest);
    case "record":
      return namesAt(def.valueType, rest);
    case "union":
      return def.options.flatMap((one) => namesAt(one, path));
    case "pipe":
      return [...namesAt(def.in, path), ...namesAt(def.out, path)];
    case "optional":
    case "nullable":
    case "default":
    case "prefault":
    case "readonly":
      return namesAt(def.innerType, path);
    default:
      return [];
  }
}
