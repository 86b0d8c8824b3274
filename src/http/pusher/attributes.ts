const ATTRIBUTES = ["user_count", "subscription_count", "cache"] as const;

/** A fact about a channel that callers of the HTTP API may ask for. */
export type Attribute = (typeof ATTRIBUTES)[number];

/** Reads a list of attributes such as `user_count,subscription_count`; `undefined` when there are others in it. */
export function readAttributes(list: string | undefined): readonly Attribute[] | undefined {
  const names = (list ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const known = names.filter((name): name is Attribute => ATTRIBUTES.includes(name as Attribute));
  return known.length === names.length ? known : undefined;
}
