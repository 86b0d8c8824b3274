import { DEFAULT_NAMESPACE, NAMESPACE_PATTERN, NAMESPACE_WORDS, USER_NAMESPACE } from "../core/channel.ts";
import { type Access, NAMESPACE_DEFAULTS, type NamespaceRules, type Namespaces } from "../core/namespace.ts";
import { REGION_PATTERN } from "../core/subject.ts";
import { calloutSetting, choice, duration, maybeText, type Setting, size, whole, yesNo } from "./setting.ts";
import { check, isObject, nest, takeApart } from "./tree.ts";
import { formatDuration, formatSize } from "./units.ts";

const D = NAMESPACE_DEFAULTS;
const ACCESS = [
  "nobody",
  "token",
  "subscriber",
  "authenticated",
  "anyone",
] as const satisfies readonly Access[];
/** Every instance reads every partition; more were not tried. */
const MAX_PARTITIONS = 64;
const SUBSCRIBE = ["nobody", "token", "authenticated", "anyone"] as const;

/** The rules of one namespace in the file, `namespaces.<name>.…`. */
export const namespaceSettings = {
  "history.size": whole(1, 1_000_000, { default: 100, doc: "Messages kept for each channel." }),
  "history.age": duration("1s", "3650d", { default: "10m", doc: "Messages older than this are dropped." }),
  "history.recoverLimit": whole(0, 1_000_000, {
    default: 0,
    fallbackText: "`history.size`",
    doc: "Most messages that one recovery may return. A client that missed more is told `recovered: false`.",
  }),
  "history.total": size("0B", "1024GiB", {
    default: "0B",
    doc:
      "Most bytes of all channels of the namespace together, in its streams. The oldest messages go when they take more. " +
      "NATS reserves this when the streams are made. 0: 256 MiB for a new stream (64 or 16 if NATS has not four times as much free), and " +
      "what `nats stream edit --max-bytes` has set stays.",
  }),
  "history.replicas": whole(1, 5, { default: 1, doc: "Replicas of the stream in its region: 1, 3 or 5." }),
  partitions: whole(1, MAX_PARTITIONS, {
    default: D.partitions,
    doc:
      "Streams among which the channels are divided, for a thousand busy channels on nats-server 2.9. More than 1 needs " +
      "a subject mapping of the NATS account, which `trunkline config --nats` prints.",
  }),
  home: maybeText(REGION_PATTERN, "the name of a region", {
    fallbackText: "`nats.home`",
    doc: "Region that stores the namespace's messages. Instances of other regions keep a copy in theirs. Each NATS cluster must have the name of its region. If this setting changes later, the stream moves and keeps its positions.",
  }),
  recovery: choice(["stream", "cache", "off"], {
    default: D.recovery,
    doc: "What a returning client gets: all missed messages, the latest message, or nothing. Needs `history`.",
  }),
  presence: yesNo({ default: D.presence, doc: "Keep a list of subscribers." }),
  joinLeave: choice(["off", "connection", "user"], {
    default: D.joinLeave,
    doc: "Which joins and leaves subscribers get, if they ask for them: of each connection, or of each user. Needs `presence`.",
  }),
  forceJoinLeave: yesNo({
    default: D.forceJoinLeave,
    doc: "Send joins and leaves to every subscriber, even without being asked.",
  }),
  subscribe: choice(SUBSCRIBE, { default: D.subscribe, doc: "Who may subscribe." }),
  publish: choice(ACCESS, { default: D.publish, doc: "Which clients may publish." }),
  presenceAccess: choice(ACCESS, { default: D.presenceAccess, doc: "Who may read presence." }),
  historyAccess: choice(ACCESS, { default: D.historyAccess, doc: "Who may read history." }),
  subscribeCallout: calloutSetting({
    default: D.subscribeCallout,
    doc: "Ask whether a subscribe is allowed: `true` the service on `rtauth.subscribe`, a name that endpoint.",
  }),
  publishCallout: calloutSetting({
    default: D.publishCallout,
    doc: "Ask whether a publish is allowed (`true`: `rtauth.publish`).",
  }),
  subRefreshCallout: calloutSetting({
    default: D.subRefreshCallout,
    doc:
      "When a subscription expires, ask whether it goes on (`true`: `rtauth.sub_refresh`), instead of letting the client " +
      "bring a new token.",
  }),
  format: choice(["json", "binary"], {
    default: D.format,
    doc: "What message bodies may be: JSON text, or any bytes.",
  }),
  delta: yesNo({
    default: D.delta,
    doc:
      'Send only the difference from the previous message to clients that ask for it (`delta: "fossil"`). For similar ' +
      "messages of 64 bytes to 16 KiB. Each message costs some 10 µs, once for all subscribers.",
  }),
  compress: yesNo({
    default: D.compress,
    doc:
      "Compress messages for clients, where `compression` is on. `false` for messages that do not get shorter: pictures, or what " +
      "is encrypted or compressed already.",
  }),
  window: duration("0s", "1m", {
    default: formatDuration(D.windowMs),
    doc:
      "After a message, those that follow within this time wait for its end and are sent together. A message after a pause does not " +
      "wait, and neither does one of high priority. 0: every message is sent at once.",
  }),
  windowWhen: choice(["always", "overloaded"], {
    default: D.windowWhen,
    doc: "Keep windows always, or only while the instance is overloaded.",
  }),
  conflate: choice(["off", "latest", "key"], {
    default: D.conflate,
    doc:
      "Which messages of a window subscribers get: all, the newest, or the newest of each key (the tag `key`; messages without one all " +
      "go). The history keeps them all, and a returning client gets those after its position.",
  }),
  maxMessage: size("1B", "1MiB", {
    default: formatSize(D.maxMessageBytes),
    doc: "Longest message body, from any publisher. NATS has its own limit (`max_payload`).",
  }),
  publishRate: whole(0, 1_000_000, {
    default: D.publishRate,
    doc: "Most messages a second from one client, with a burst of twice that. 0: no limit.",
  }),
  presenceMaxMembers: whole(1, 10_000_000, {
    default: D.presenceMaxMembers,
    doc: "In a channel with more members, presence answers with counts only, and joins and leaves are not sent.",
  }),
  presenceGrace: duration("0s", "1h", {
    default: formatDuration(D.presenceGraceMs),
    doc: "How long a member may be gone before its leave is sent.",
  }),
} as const;

/** The namespaces every instance has, as the file would hold them. */
export const BUILT_IN: Readonly<Record<string, Record<string, unknown>>> = {
  [DEFAULT_NAMESPACE]: { history: { size: 100, age: "10m" }, recovery: "stream" },
  chat: {
    history: { size: 1_000, age: "24h", recoverLimit: 1_000 },
    recovery: "stream",
    presence: true,
    joinLeave: "connection",
    publish: "subscriber",
  },
  live: { publish: "subscriber" },
  [USER_NAMESPACE]: { history: { size: 100, age: "7d" }, recovery: "stream", subscribe: "nobody" },
};

/**
 * The namespaces of an instance: the built-in ones with what `file` changes or adds (`null` takes one away).
 * @param home region of those that keep history and name none
 * @param file what stands under `namespaces` in the configuration file
 */
export function readNamespaces(file: unknown, report: (text: string) => void, home?: string): Namespaces {
  if (file !== undefined && !isObject(file)) report("namespaces (file): it must be an object");
  const given = isObject(file) ? file : {};
  const namespaces = new Map<string, NamespaceRules>();
  for (const name of new Set([...Object.keys(BUILT_IN), ...Object.keys(given)])) {
    const at = `namespaces.${name}`;
    const own = Object.hasOwn(given, name) ? given[name] : {};
    if (!NAMESPACE_PATTERN.test(name)) {
      report(`${at} (file): a namespace's name is ${NAMESPACE_WORDS}`);
    } else if (own === null && Object.hasOwn(BUILT_IN, name)) {
      if (name === DEFAULT_NAMESPACE || name === USER_NAMESPACE)
        report(`${at} (file): it cannot be taken away`);
    } else if (!isObject(own)) {
      report(`${at} (file): it must be an object`);
    } else {
      const rules = readNamespace(name, own, report);
      namespaces.set(name, rules.history ? { ...rules, home: rules.home ?? home } : rules);
    }
  }
  return namespaces;
}

function readNamespace(
  name: string,
  own: Record<string, unknown>,
  report: (text: string) => void,
): NamespaceRules {
  const at = `namespaces.${name}.`;
  const { history: builtInHistory, ...builtIn } = BUILT_IN[name] ?? {};
  const { history: ownHistory, ...rest } = own;
  const keeps = ownHistory !== null && (ownHistory ?? builtInHistory) !== undefined;
  const merged = { ...builtIn, ...rest };
  const history = isObject(ownHistory)
    ? { ...(builtInHistory ?? {}), ...ownHistory }
    : (ownHistory ?? builtInHistory);
  const raw = takeApart(keeps ? { ...merged, history } : merged, namespaceSettings, at, report);

  const checked = new Map<string, unknown>();
  for (const [key, value] of raw) {
    const setting = namespaceSettings[key as keyof typeof namespaceSettings];
    const result = check(setting, value, { key: at + key, source: "file" }, report);
    if (result) checked.set(key, result.value);
  }
  const values = nest(namespaceSettings, (key) =>
    checked.has(key) ? checked.get(key) : namespaceSettings[key as keyof typeof namespaceSettings].fallback,
  );
  const { recoverLimit, ...kept } = values.history;
  const rules: NamespaceRules = {
    ...values,
    name,
    history: keeps
      ? { ...kept, recoverLimit: checked.has("history.recoverLimit") ? recoverLimit : kept.size }
      : null,
  };
  for (const problem of crossChecks(rules)) report(`${at}${problem}`);
  return rules;
}

/** The rules as the file would hold them. */
export function showNamespace(rules: NamespaceRules): Record<string, unknown> {
  const { history, ...rest } = rules;
  const shown: Record<string, unknown> = { history: null };
  for (const [key, setting] of Object.entries<Setting>(namespaceSettings)) {
    const [group, name] = key.split(".");
    if (name === undefined) shown[key] = setting.show(rest[`${key}${setting.unit}` as keyof typeof rest]);
    else if (history) {
      const value = setting.show(history[`${name}${setting.unit}` as keyof typeof history]);
      shown[group!] = { ...(shown[group!] as object | null), [name]: value };
    }
  }
  return shown;
}

/** What single values cannot show to be wrong; each begins with the key. */
function* crossChecks(rules: NamespaceRules): Generator<string> {
  if (rules.recovery !== "off" && !rules.history) {
    yield 'recovery: it needs history; add "history": {"size": 100, "age": "10m"}, or set recovery to "off"';
  }
  if (rules.home !== undefined && !rules.history) yield "home: only streams live somewhere; it needs history";
  if (rules.partitions > 1 && !rules.history) yield "partitions: only streams are divided; it needs history";
  if (rules.joinLeave !== "off" && !rules.presence) yield 'joinLeave: it needs "presence": true';
  if (rules.forceJoinLeave && rules.joinLeave === "off")
    yield 'forceJoinLeave: it needs joinLeave "connection" or "user"';
  if (rules.history && ![1, 3, 5].includes(rules.history.replicas))
    yield "history.replicas: it must be 1, 3 or 5";
  if (rules.conflate !== "off" && rules.windowMs === 0)
    yield 'conflate: messages are compared within a window; add "window": "100ms"';
  if (rules.name === USER_NAMESPACE && rules.conflate !== "off")
    yield 'conflate: an inbox promises every message; it must be "off"';
  if (rules.name === USER_NAMESPACE && !["nobody", "token"].includes(rules.subscribe)) {
    yield 'subscribe: inboxes are private; it must be "nobody" or "token"';
  }
}
