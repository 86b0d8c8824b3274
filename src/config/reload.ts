import { isDeepStrictEqual } from "node:util";
import type { NamespaceRules } from "../core/namespace.ts";
import { namespaceSettings, showNamespace } from "./namespaces.ts";
import { type Setting, shown } from "./setting.ts";
import { type Config, settings } from "./table.ts";

/** One setting that is not what it was. Values are as the file would hold them; a secret is `***` before and after. */
export interface Change {
  readonly key: string;
  readonly from: unknown;
  readonly to: unknown;
}

/** What differs between two states of the settings. */
export interface Changes {
  /** What a running instance takes over. */
  readonly live: readonly Change[];
  /** What it reads at its start only. */
  readonly restart: readonly Change[];
}

/** Groups and settings that a running instance takes over; a group ends in a dot. */
const LIVE = [
  ...["auth.", "api.", "apps", "callouts.endpoints", "rpc.callouts", "rpc.timeout", "limits."],
  ...["http.allowedOrigins", "http.metricsToken", "http.publicMetrics"],
  ...["channels.", "drain.", "overload.", "health.", "log.level"],
];
/** Of these groups, what sockets are opened with. */
const AT_START = ["limits.frame", "limits.backpressure"];

/**
 * Rules that are looked at with each command or message. What is not here decides what is kept, in streams or in memory, and
 * what clients were told when they subscribed.
 */
const LIVE_RULES: ReadonlySet<string> = new Set<keyof typeof namespaceSettings>([
  ...(["subscribe", "publish", "presenceAccess", "historyAccess"] as const),
  ...(["subscribeCallout", "publishCallout", "subRefreshCallout"] as const),
  ...(["maxMessage", "publishRate", "presenceMaxMembers", "presenceGrace", "history.recoverLimit"] as const),
  ...(["window", "windowWhen", "conflate"] as const),
]);

/** Whether a running instance takes a changed setting over. */
export function isLive(key: string): boolean {
  if (AT_START.includes(key)) return false;
  return LIVE.some((one) => (one.endsWith(".") ? key.startsWith(one) : key === one));
}

/** As {@link isLive}, of a rule of a namespace (`publish`, `history.size`). */
export function isLiveRule(key: string): boolean {
  return LIVE_RULES.has(key);
}

/** What differs between the settings in effect and others. */
export function changesOf(before: Config, after: Config): Changes {
  const live: Change[] = [];
  const restart: Change[] = [];
  for (const [key, setting] of Object.entries<Setting>(settings)) {
    if (key === "apps") continue;
    const [old, next] = [settingOf(before, key, setting), settingOf(after, key, setting)];
    if (isDeepStrictEqual(old, next)) continue;
    (isLive(key) ? live : restart).push({ key, from: shown(setting, old), to: shown(setting, next) });
  }
  for (const [change, isTaken] of [...appChanges(before, after), ...namespaceChanges(before, after)]) {
    (isTaken ? live : restart).push(change);
  }
  return { live, restart };
}

function settingOf(config: Config, key: string, { unit }: Setting): unknown {
  return `${key}${unit}`
    .split(".")
    .reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], config);
}

/** App by app: the namespace of one, and its webhooks, are read at the start. */
function* appChanges(before: Config, after: Config): Generator<readonly [Change, boolean]> {
  const show = (app: Config["apps"][number] | undefined) =>
    app ? (settings.apps.show([app]) as unknown[])[0] : null;
  for (const id of new Set([...before.apps, ...after.apps].map((app) => app.id))) {
    const [old, next] = [before, after].map(({ apps }) => apps.find((app) => app.id === id));
    if (isDeepStrictEqual(old, next)) continue;
    const sameWebhooks = isDeepStrictEqual(old?.webhooks ?? [], next?.webhooks ?? []);
    const samePlace = !old || !next || old.namespace === next.namespace;
    yield [{ key: `apps.${id}`, from: show(old), to: show(next) }, sameWebhooks && samePlace];
  }
}

function* namespaceChanges(before: Config, after: Config): Generator<readonly [Change, boolean]> {
  for (const name of new Set([...before.namespaces.keys(), ...after.namespaces.keys()])) {
    const [old, next] = [before.namespaces.get(name), after.namespaces.get(name)];
    const key = `namespaces.${name}`;
    if (!old || !next) {
      const [from, to] = [old, next].map((rules) => (rules ? showNamespace(rules) : null));
      yield [{ key, from, to }, old === undefined];
      continue;
    }
    const [from, to] = [flat(old), flat(next)];
    for (const rule of Object.keys(namespaceSettings)) {
      if (isDeepStrictEqual(from[rule], to[rule])) continue;
      // A channel that is live has a window of its own, or none.
      const taken = isLiveRule(rule) && (rule !== "window" || (old.windowMs > 0 && next.windowMs > 0));
      // With a history come all its rules, of which none is taken over then.
      const kept = (old.history === null) === (next.history === null);
      yield [
        { key: `${key}.${rule}`, from: from[rule] ?? null, to: to[rule] ?? null },
        taken && (kept || !rule.startsWith("history.")),
      ];
    }
  }
}

/** The rules by the keys of their table. */
function flat(rules: NamespaceRules): Record<string, unknown> {
  const { history, ...rest } = showNamespace(rules) as { history: Record<string, unknown> | null };
  const kept = Object.entries(history ?? {}).map(([name, value]) => [`history.${name}`, value]);
  return { ...rest, ...Object.fromEntries(kept) };
}
