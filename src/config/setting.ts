import { z } from "zod";
import type { CalloutTarget } from "../core/namespace.ts";
import { calloutTarget } from "./callouts.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./units.ts";

/** What a setting's value counts. In code the name ends in it: `pingInterval` in the file is `pingIntervalMs`. */
type Unit = "" | "Ms" | "Bytes";

/**
 * One row of the settings table: everything that is known of a setting, so that the loader, the printed settings, the
 * documentation and the JSON Schema cannot disagree.
 */
export interface Setting<T = unknown, U extends Unit = Unit> {
  /** One line for the documentation. */
  readonly doc: string;
  /** What it may be, for the documentation; completes "it must be …". */
  readonly what: string;
  readonly unit: U;
  /**
   * Makes what checks what the file holds and turns it into the value; its messages never hold the value. Made when it is
   * needed, and not kept: of hundreds of settings few are set, and a schema takes kilobytes.
   */
  schema(): z.ZodType<T>;
  /** The value when nothing sets it; with `TRUNKLINE_INSECURE=true`; and what `trunkline dev` sets. */
  readonly fallback: T | (() => T);
  readonly insecure?: T;
  readonly dev?: T | (() => T);
  /** Documentation of a default that is no constant. */
  readonly fallbackText?: string;
  /** The environment variable, then those that are asked when it is not set. Derived from the key when absent. */
  readonly env?: readonly string[];
  /** Only in the file: too rich for a variable. */
  readonly fileOnly?: true;
  /** What the environment's text would be in the file. */
  fromEnv(text: string): unknown;
  /**
   * `all`: never printed. `userinfo`: a URL that may carry a password, printed without it. `parts`: `show` leaves out
   * what is secret. No error text holds a value of any of them.
   */
  readonly secret?: "all" | "userinfo" | "parts";
  /** The value as the file would hold it. */
  show(value: T): unknown;
}

/** A default that may have to be made. */
export function made<T>(value: T | (() => T)): T {
  return typeof value === "function" ? (value as () => T)() : value;
}

/** A value for people: as the file would hold it, without its secrets; `null` when there is none. */
export function shown(setting: Setting, value: unknown): unknown {
  if (value === undefined) return null;
  if (Array.isArray(value) && value.length === 0) return [];
  if (setting.secret === "all") return "***";
  if (setting.secret !== "userinfo") return setting.show(value);
  return Array.isArray(value) ? value.map((url) => withoutUserinfo(url)) : withoutUserinfo(String(value));
}

function withoutUserinfo(url: string): string {
  return url.replace(/^([a-z-]+:\/\/)?.*@/s, "$1***@").replace(/\?.*$/s, "?***");
}

/** What the makers below take from their callers beside what they know themselves. */
type Row<T> = { readonly doc: string; readonly default: T | (() => T) } & Partial<
  Pick<Setting<T>, "insecure" | "dev" | "fallbackText" | "env" | "fileOnly" | "fromEnv" | "secret">
>;

/** A row whose default is written with its unit. */
interface Measure {
  readonly doc: string;
  readonly default: string;
}

function setting<T, U extends Unit>(
  row: Row<T>,
  kind: Pick<Setting<T, U>, "schema" | "unit" | "what"> & Partial<Pick<Setting<T, U>, "fromEnv" | "show">>,
): Setting<T, U> {
  const { default: fallback, ...rest } = row;
  return { fromEnv: (text) => text, show: (value) => value, ...rest, fallback, ...kind };
}

const numeric = (text: string): unknown => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text);
const commas = (text: string): string[] =>
  text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");

/** A whole number in [min, max]. */
export function whole(min: number, max: number, row: Row<number>): Setting<number, ""> {
  const what = `a whole number from ${min} to ${max}`;
  const error = mustBe(what);
  const schema = () => z.int(error).min(min, error).max(max, error);
  return setting(row, { unit: "", what, schema, fromEnv: numeric });
}

export function yesNo(row: Row<boolean>): Setting<boolean, ""> {
  return setting(row, {
    unit: "",
    what: "true or false",
    schema: () => z.boolean(mustBe("true or false")),
    fromEnv: (text) => ({ true: true, "1": true, false: false, "0": false })[text.toLowerCase()] ?? text,
  });
}

/** Which service a callout asks: none (`false`), the one in NATS (`true`), or the endpoint of a name. */
export function calloutSetting(row: Row<boolean | string>): Setting<false | CalloutTarget, ""> {
  const what = "true, false, or the name of an endpoint of `callouts.endpoints`";
  const fromEnv = (text: string) =>
    ({ true: true, "1": true, false: false, "0": false })[text.toLowerCase()] ?? text;
  const schema = calloutTarget as () => z.ZodType<false | CalloutTarget>;
  return setting(row as Row<false | CalloutTarget>, { unit: "", what, schema, fromEnv });
}

/** One of a few words. */
export function choice<const C extends string>(choices: readonly C[], row: Row<C>): Setting<C, ""> {
  const what = `one of ${choices.join(", ")}`;
  return setting(row, { unit: "", what, schema: () => z.enum(choices, mustBe(what)) });
}

/** Text of one shape; `what` completes "it must be …". */
export function text(shape: RegExp, what: string, row: Row<string>): Setting<string, ""> {
  return setting(row, { unit: "", what, schema: () => textSchema(shape, what) });
}

/** As {@link text}, and may be absent. `check` tells what is wrong with it, beyond its shape. */
export function maybeText(
  shape: RegExp,
  what: string,
  row: Omit<Row<string | undefined>, "default">,
  check: (text: string) => boolean = () => true,
): Setting<string | undefined, ""> {
  const schema = () => textSchema(shape, what).refine(check, mustBe(what));
  return setting({ default: undefined, ...row }, { unit: "", what, schema });
}

/** A list of texts of one shape; commas in the environment. `check` as above, for each. */
export function list(
  shape: RegExp,
  what: string,
  row: Row<readonly string[]>,
  check: (item: string) => boolean = () => true,
): Setting<readonly string[], ""> {
  const schema = () =>
    z.array(textSchema(shape, what).refine(check, mustBe(what)), mustBe(`a list, each item ${what}`));
  return setting(row, { unit: "", what: `a list, each item ${what}`, schema, fromEnv: commas });
}

/** Anything a schema of its own describes; in the file only, unless `fromEnv` reads it from a variable. */
export function structure<T>(
  schema: () => z.ZodType<T>,
  what: string,
  row: Row<T>,
  show: (value: T) => unknown,
): Setting<T, ""> {
  const { fromEnv, ...rest } = row;
  const place = fromEnv ? rest : { ...rest, fileOnly: true as const };
  return setting(place, { unit: "", what, schema, show, ...(fromEnv && { fromEnv }) });
}

/** A duration in [min, max], as text ("30s") or a number of ms; the value is in ms. */
export function duration(min: string, max: string, row: Measure): Setting<number, "Ms"> {
  return measured(row, "Ms", min, max, DURATION);
}

/** A size in [min, max], as text ("64KiB") or a number of bytes; the value is in bytes. */
export function size(min: string, max: string, row: Measure): Setting<number, "Bytes"> {
  return measured(row, "Bytes", min, max, SIZE);
}

/** As {@link size}, for what is counted each second; 0 is allowed. */
export function bytesPerSecond(row: Measure): Setting<number, ""> {
  return measured(row, "", "0B", "1024GiB", SIZE);
}

const DURATION = {
  noun: "duration",
  such: '"250ms", "30s", "24h", or a number of ms',
  parse: parseDuration,
  format: formatDuration,
};
const SIZE = {
  noun: "size",
  such: '"512B", "64KiB", "1MiB", or a number of bytes',
  parse: parseSize,
  format: formatSize,
};

function measured<U extends Unit>(
  row: Measure,
  unit: U,
  min: string,
  max: string,
  { noun, such, parse, format }: typeof DURATION,
): Setting<number, U> {
  const constant = (text: string): number => {
    const value = parse(text);
    if (value === undefined) throw new Error(`the settings table holds "${text}", which is no ${noun}`);
    return value;
  };
  const what = `a ${noun} from ${min} to ${max}`;
  const error = mustBe(`${what}, such as ${such}`);
  const [least, most] = [constant(min), constant(max)];
  const schema = () =>
    z.union([z.string(), z.int().nonnegative()], error).transform((raw, context) => {
      const value = typeof raw === "number" ? raw : parse(raw);
      if (value !== undefined && value >= least && value <= most) return value;
      context.addIssue({ code: "custom", message: error.error });
      return z.NEVER;
    });
  return setting<number, U>({ ...row, default: constant(row.default) }, { unit, what, schema, show: format });
}

function textSchema(shape: RegExp, what: string): z.ZodString {
  return z.string(mustBe(what)).regex(shape, mustBe(what));
}

function mustBe(what: string): { error: string } {
  return { error: `it must be ${what}` };
}
