import { z } from "zod";

/*
 * Objects whose members others name. zod's own record leaves out the member `__proto__` without a word, and an object of
 * ours would take it for its prototype; a channel, tag or subscription may be called so like any other.
 */

/** Keys that zod's record would leave out, and those that they are kept apart from while it reads, by brackets around. */
const AWKWARD = /^\[*__proto__\]*$/;

const isPlain = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function renamed<V>(record: Readonly<Record<string, V>>, rename: (key: string) => string): Record<string, V> {
  const all: Record<string, V> = Object.create(null);
  for (const [key, value] of Object.entries(record)) all[rename(key)] = value;
  return all;
}

/**
 * A record that carries every key as text: what comes out has no prototype, so that `__proto__` and `constructor` are members
 * like others, and absent where nobody gave them. What goes in is an object that is no list.
 * @param key keys that are allowed, default all
 * @param params of zod's record: the error where it is no object
 */
export function records<V extends z.ZodType, K extends z.core.$ZodRecordKey = z.ZodString>(
  value: V,
  key?: K,
  params?: Parameters<typeof z.record>[2],
) {
  return z.preprocess(
    (given) =>
      isPlain(given) && Object.keys(given).some((name) => AWKWARD.test(name))
        ? renamed(given as Record<string, unknown>, (name) => (AWKWARD.test(name) ? `[${name}]` : name))
        : given,
    z.record((key ?? z.string()) as K, value, params).overwrite(
      (read) =>
        // As the keys were before.
        renamed(read, (name) => (AWKWARD.test(name) ? name.slice(1, -1) : name)) as typeof read,
    ),
  );
}
