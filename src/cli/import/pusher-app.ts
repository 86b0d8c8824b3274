import type { Draft, Tree } from "./draft.ts";
import { newSecret, PRINTABLE, secretOf } from "./secrets.ts";
import type { Variables } from "./variables.ts";

/** The namespace that an app's channels get. */
const NAMESPACE = "app";

const NAME = /^[A-Za-z0-9_-]+$/;
const LEAST_SECRET = 16;

/** How the variables of one app are called, and what stands when they are not set. */
export interface AppNames {
  readonly id: readonly [name: string, fallback?: string];
  readonly key: readonly [name: string, fallback?: string];
  readonly secret: readonly [name: string, fallback?: string];
}

/**
 * The app that the variables name, with a namespace of its own in which everything of the protocol works.
 * @returns its members, to be changed and then set by {@link setApp}; `undefined` when the file names none
 */
export function appOf(draft: Draft, variables: Variables, names: AppNames): Tree | undefined {
  const [id, key, secret] = [names.id, names.key, names.secret].map(([name, fallback]) => {
    const value = variables.take(name);
    if (value === undefined && fallback !== undefined)
      draft.maps(name, undefined, `not set, which is ${fallback} there`);
    return { name, value: value ?? fallback, given: value !== undefined };
  });
  for (const { name, value } of [id!, key!, secret!]) {
    if (value !== undefined) continue;
    draft.missing(name, "not set: without id, key and secret there is no app");
    return undefined;
  }
  for (const { name, value, given } of [id!, key!]) {
    if (!NAME.test(value!))
      draft.differs(
        name,
        "characters other than A-Z, a-z, 0-9, _ and - are refused here: take another",
        "apps",
      );
    else if (given) draft.maps(name, "apps");
  }
  const checked = secretOf(draft, secret!.name, secret!.value!, {
    ...{ to: "apps", least: LEAST_SECRET, shape: PRINTABLE, who: "your servers" },
  });
  return { id: id!.value, keys: [{ key: key!.value, secret: checked }], namespace: NAMESPACE };
}

/** Writes the app and its namespace. @param longest its longest event, bytes */
export function setApp(draft: Draft, app: Tree, longest: number): void {
  draft.set("apps", [app]);
  draft.set("auth.tokenSecret", newSecret());
  draft.maps(
    "(tokens)",
    "auth.tokenSecret",
    "a new one, for clients of the other protocol: those of Pusher's need no token",
  );
  draft.set(`namespaces.${NAMESPACE}`, {
    ...{ history: { size: 100, age: "10m" }, recovery: "stream", presence: true, joinLeave: "user" },
    // An event's name travels beside its data.
    maxMessage: Math.min(Math.max(2 * longest, 65_536), 1_048_576),
  });
  draft.maps(
    `(namespace ${NAMESPACE})`,
    `namespaces.${NAMESPACE}`,
    "the app's channels keep 100 messages for 10 minutes, for clients that come back",
  );
}

/** Redis as one address; `undefined` when the parts make none. */
export function redisUrl({
  host = "127.0.0.1",
  port = "6379",
  user,
  password,
  database,
  secure = false,
}: {
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly database?: string | undefined;
  readonly secure?: boolean;
}): string | undefined {
  const text = `${secure ? "rediss" : "redis"}://${host}:${port}`;
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (user) url.username = user;
  if (password) url.password = password;
  if (database && database !== "0") url.pathname = `/${database}`;
  return url.href;
}

/** A whole number, or `undefined`. */
export function wholeOf(text: string | undefined): number | undefined {
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}
