import { formatDuration } from "../../config/units.ts";
import { Draft, isTree, type Tree } from "./draft.ts";
import { appOf, redisUrl, setApp, wholeOf } from "./pusher-app.ts";
import { isTrue, sayRest, Variables } from "./variables.ts";

const PREFIX = "SOKETI_";

/** What soketi has where nothing is said. */
const PORT = 6001;
const EVENT_KIB = 100;

/** Events of webhooks that both have. */
const EVENTS: ReadonlySet<unknown> = new Set([
  ...([
    "channel_occupied",
    "channel_vacated",
    "member_added",
    "member_removed",
    "client_event",
    "cache_miss",
  ] as const),
]);

/** Settings of soketi, as its environment file has them, as ours. */
export function fromSoketi(text: string): Draft {
  const draft = new Draft();
  const variables = new Variables(text);
  const take = (name: string) => variables.take(PREFIX + name);
  server(draft, take);
  const names = { id: "DEFAULT_APP_ID", key: "DEFAULT_APP_KEY", secret: "DEFAULT_APP_SECRET" };
  const driver = take("APP_MANAGER_DRIVER");
  if (driver !== undefined && driver !== "array") {
    draft.missing(
      `${PREFIX}APP_MANAGER_DRIVER`,
      `apps are in the settings, not in ${driver}: write each into apps`,
    );
  }
  const app = appOf(draft, variables, {
    id: [PREFIX + names.id, "app-id"],
    key: [PREFIX + names.key, "app-key"],
    secret: [PREFIX + names.secret, "app-secret"],
  });
  if (app) setApp(draft, app, appOptions(draft, take, app));
  stores(draft, take);
  const left = variables.left();
  for (const name of left.filter((one) => one.startsWith(PREFIX))) {
    draft.missing(name, MISSING.find(([shape]) => shape.test(name.slice(PREFIX.length)))?.[1]);
  }
  const others = left.filter((one) => !one.startsWith(PREFIX)).length;
  sayRest(
    draft,
    variables.names.filter((name) => name.startsWith(PREFIX)),
  );
  if (others > 0) draft.maps("(others)", undefined, `${others} variables are not soketi's`);
  return draft;
}

type Take = (name: string) => string | undefined;

const MISSING: readonly (readonly [RegExp, string])[] = [
  [/^(QUEUE|CACHE|RATE_LIMITER)_/, "not needed: webhooks wait in NATS, and limits are each instance's own"],
  [/^(CLUSTER|ADAPTER)_/, "not needed: instances find each other through NATS"],
  [/^(DB|APP_MANAGER)_/, "apps are in the settings"],
  [/^(DEFAULT_APP_MAX_BACKEND_EVENTS|DEFAULT_APP_MAX_READ_REQ)/, "servers have no limit of requests"],
  [/^EVENT_MAX_(BATCH_SIZE|CHANNELS_AT_ONCE|NAME_LENGTH)$/, "it is Pusher's own limit"],
  [/^METRICS_/, "take /metrics, with http.metricsToken or admin.port"],
  [/^HTTP_ACCEPT_TRAFFIC/, "see overload.memory"],
];

function server(draft: Draft, take: Take): void {
  const port = wholeOf(take("PORT"));
  draft.set("port", port ?? PORT);
  draft.maps(`${PREFIX}PORT`, "port", port === undefined ? `not set, which is ${PORT} there` : undefined);
  const plain = [
    ["HOST", "host"],
    ["SSL_CERT", "tls.certFile"],
    ["SSL_KEY", "tls.keyFile"],
  ] as const;
  for (const [name, to] of plain) {
    const value = take(name);
    if (value === undefined) continue;
    draft.set(to, value);
    draft.maps(PREFIX + name, to);
  }
  if (take("PATH_PREFIX"))
    draft.maps(
      `${PREFIX}PATH_PREFIX`,
      undefined,
      "clients may have any prefix before /app; servers call /apps without one",
    );
  if (isTrue(take("DEBUG"))) {
    draft.set("log.level", "debug");
    draft.maps(`${PREFIX}DEBUG`, "log.level");
  }
  const grace = wholeOf(take("SHUTDOWN_GRACE_PERIOD"));
  if (grace !== undefined) {
    draft.set("drain.deadline", formatDuration(Math.min(Math.max(grace, 0), 3_600_000)));
    draft.maps(`${PREFIX}SHUTDOWN_GRACE_PERIOD`, "drain.deadline");
  }
  draft.set("http.allowedOrigins", ["*"]);
  draft.differs("(cors)", "pages of every origin may connect, as there: name yours", "http.allowedOrigins");
}

/** @returns the longest event, bytes */
function appOptions(draft: Draft, take: Take, app: Tree): number {
  const limits: Tree = {};
  const enabled = take("DEFAULT_APP_ENABLED");
  if (enabled !== undefined) {
    app.enabled = isTrue(enabled);
    draft.maps(`${PREFIX}DEFAULT_APP_ENABLED`, "apps[].enabled");
  }
  const client = take("DEFAULT_APP_ENABLE_CLIENT_MESSAGES");
  app.clientEvents = isTrue(client);
  if (client !== undefined) draft.maps(`${PREFIX}DEFAULT_APP_ENABLE_CLIENT_MESSAGES`, "apps[].clientEvents");
  if (take("DEFAULT_APP_USER_AUTHENTICATION"))
    draft.maps(`${PREFIX}DEFAULT_APP_USER_AUTHENTICATION`, undefined, "users may always sign in");

  const limit = (name: string, member: string, most: number, factor = 1) => {
    const value = wholeOf(take(name));
    if (value === undefined) return undefined;
    // -1 is no limit there.
    limits[member] =
      value < 0 ? (member === "clientEventsPerSecond" ? 0 : most) : Math.min(value * factor, most);
    if (value * factor > most) draft.differs(PREFIX + name, `${most} is the most`, `apps[].limits.${member}`);
    else draft.maps(PREFIX + name, `apps[].limits.${member}`);
    return limits[member] as number;
  };
  if (limit("DEFAULT_APP_MAX_CLIENT_EVENTS_PER_SEC", "clientEventsPerSecond", 1_000_000) === undefined)
    limits.clientEventsPerSecond = 0;
  limit("PRESENCE_MAX_MEMBERS", "presenceMembers", 100_000);
  if (limit("PRESENCE_MAX_MEMBER_SIZE", "userInfo", 65_536, 1_024) === undefined) limits.userInfo = 2_048;
  if (limit("CHANNEL_LIMITS_MAX_NAME_LENGTH", "channelName", 200) === undefined) limits.channelName = 200;
  const event = limit("EVENT_MAX_SIZE_IN_KB", "event", 1_048_576, 1_024) ?? EVENT_KIB * 1_024;
  limits.event = event;
  app.limits = limits;

  const connections = wholeOf(take("DEFAULT_APP_MAX_CONNS"));
  if (connections !== undefined) {
    if (connections > 0) draft.set("limits.connections", connections);
    draft.differs(`${PREFIX}DEFAULT_APP_MAX_CONNS`, "of each instance, not of the app", "limits.connections");
  }
  webhooks(draft, take, app);
  return event;
}

function webhooks(draft: Draft, take: Take, app: Tree): void {
  const name = `${PREFIX}DEFAULT_APP_WEBHOOKS`;
  const batching = isTrue(take("WEBHOOKS_BATCHING"));
  if (batching) draft.maps(`${PREFIX}WEBHOOKS_BATCHING`, "apps[].webhooks[].batch");
  if (take("WEBHOOKS_BATCHING_DURATION"))
    draft.missing(`${PREFIX}WEBHOOKS_BATCHING_DURATION`, "events that wait are sent together");
  const text = take("DEFAULT_APP_WEBHOOKS");
  if (text === undefined) return;
  let all: unknown;
  try {
    all = JSON.parse(text);
  } catch {
    draft.missing(name, "no JSON");
    return;
  }
  const found = Array.isArray(all) ? all.filter(isTree) : [];
  const served = found.filter(({ url }) => typeof url === "string");
  app.webhooks = served.map(({ url, event_types: types, headers, filter }) => ({
    url,
    events: Array.isArray(types) ? types.filter((type) => EVENTS.has(type)) : [],
    ...(isTree(headers) && { headers }),
    ...(isTree(filter) &&
      typeof filter.channel_name_starts_with === "string" && {
        channelPrefix: filter.channel_name_starts_with,
      }),
    ...(batching && { batch: true }),
  }));
  if (served.length < found.length)
    draft.missing(name, "functions of Lambda are not called: give them an address");
  else if (found.some(({ filter }) => isTree(filter) && filter.channel_name_ends_with)) {
    draft.differs(name, "channels are picked by how they begin, not by how they end", "apps[].webhooks");
  } else draft.maps(name, "apps[].webhooks", "at http:// only on this machine, or when insecure");
}

function stores(draft: Draft, take: Take): void {
  const adapter = take("ADAPTER_DRIVER");
  const servers = take("ADAPTER_NATS_SERVERS");
  if (adapter !== undefined && adapter !== "local") {
    draft.differs(
      `${PREFIX}ADAPTER_DRIVER`,
      "several instances share NATS with JetStream (nats.urls), and Redis for presence",
      "nats.urls",
    );
  }
  if (servers !== undefined) {
    draft.set(
      "nats.urls",
      listOf(servers).map((one) => (one.includes("://") ? one : `nats://${one}`)),
    );
    draft.differs(
      `${PREFIX}ADAPTER_NATS_SERVERS`,
      "it needs JetStream, which keeps the messages",
      "nats.urls",
    );
    for (const [name, to] of [
      ["USER", "nats.user"],
      ["PASSWORD", "nats.password"],
      ["TOKEN", "nats.token"],
    ] as const) {
      const value = take(`ADAPTER_NATS_${name}`);
      if (value === undefined) continue;
      draft.set(to, value);
      draft.maps(`${PREFIX}ADAPTER_NATS_${name}`, to);
    }
  }
  const parts = ["HOST", "PORT", "USERNAME", "PASSWORD", "DB"].map((name) => `DB_REDIS_${name}`);
  const values = parts.map(take);
  for (const [index, name] of parts.entries()) {
    if (values[index] === undefined) continue;
    if (values[0] === undefined) draft.missing(PREFIX + name, "without a host there is no Redis");
    else draft.maps(PREFIX + name, "redis.url", name === "DB_REDIS_HOST" ? "for presence" : undefined);
  }
  const [host, port, user, password, database] = values;
  const url = host === undefined ? undefined : redisUrl({ host, port, user, password, database });
  if (url !== undefined) draft.set("redis.url", url);
}

/** A JSON list, as soketi reads it, or names with commas between. */
function listOf(text: string): string[] {
  try {
    const all: unknown = JSON.parse(text);
    if (Array.isArray(all)) return all.map(String);
  } catch {
    // a plain text
  }
  return text.split(",").map((one) => one.trim());
}
