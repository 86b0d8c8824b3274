import type { Entry } from "./centrifugo-names.ts";
import { type Draft, durationWithin, msOf } from "./draft.ts";
import { PRINTABLE, secretOf } from "./secrets.ts";

/** Writes what one setting becomes, and says so. @param other looks up another setting by its name in version 6 */
export type Rule = (draft: Draft, entry: Entry, other: (path: string) => unknown) => void;

/** The same value under another name. */
const same =
  (to: string, note?: string): Rule =>
  (draft, { name, value }) => {
    draft.set(to, typed(value));
    if (note === undefined) draft.maps(name, to);
    else draft.differs(name, note, to);
  };

/** Files may hold numbers and switches as texts. */
function typed(value: unknown): unknown {
  if (typeof value !== "string") return value;
  if (/^\d+$/.test(value)) return Number(value);
  return value === "true" || value === "false" ? value === "true" : value;
}

/** It is here without a setting. */
const always =
  (note: string): Rule =>
  (draft, { name }) =>
    draft.maps(name, undefined, note);

/** Nothing here does it, which matters only when it is switched on. */
const missing =
  (note?: string): Rule =>
  (draft, { name, value }) => {
    if (value === false || value === "" || value === 0) draft.maps(name, undefined, "not switched on");
    else draft.missing(name, note);
  };

const duration =
  (to: string, least: number, most: number): Rule =>
  (draft, { name, value }) => {
    const within = durationWithin(value, [least, most]);
    if (!within) return draft.missing(name, "no duration");
    draft.set(to, within.text);
    if (within.moved) draft.differs(name, `nearest that is taken: ${within.text}`, to);
    else draft.maps(name, to);
  };

/** One of the characters that names of channels are made of: here they are fixed. */
const fixed =
  (own: string, what: string): Rule =>
  (draft, { name, value }) => {
    if (value === own) draft.maps(name, undefined, `it is always ${own}`);
    else draft.missing(name, `${what} is always ${own}: channels must be renamed`);
  };

const ORIGIN = /^(\*|[a-z][a-z0-9+.-]*:\/\/[^\s/?#*@A-Z]+)$/;

const origins: Rule = (draft, { name, value }) => {
  const all = (Array.isArray(value) ? value : [value]).map(String);
  const taken = all.filter((origin) => ORIGIN.test(origin));
  draft.set("http.allowedOrigins", taken);
  if (taken.length === all.length) draft.maps(name, "http.allowedOrigins");
  else
    draft.differs(
      name,
      `origins are compared exactly, so ${all.length - taken.length} with a pattern, or none at all, were left out: name each`,
      "http.allowedOrigins",
    );
};

const key: Rule = (draft, entry) => {
  const value = secretOf(draft, entry.name, String(entry.value), {
    ...{ to: "api.keys", least: 16, shape: PRINTABLE, who: "your backends" },
  });
  draft.set("api.keys", [value]);
};

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error"];

const logLevel: Rule = (draft, { name, value }) => {
  const level = String(value).toLowerCase();
  if (!LOG_LEVELS.includes(level)) return draft.missing(name, `levels are ${LOG_LEVELS.join(", ")}`);
  draft.set("log.level", level);
  draft.maps(name, "log.level");
};

const personal: Rule = (draft, { name, value }, other) => {
  const namespace = other("client.subscribe_to_user_personal_channel.personal_channel_namespace");
  if (value !== true) return draft.differs(name, "users are always subscribed to their inbox, user:<id>");
  const there = typeof namespace === "string" && namespace !== "" ? `${namespace}:#42` : "#42";
  draft.differs(name, `the inbox of user 42 is user:42, not ${there}: publish there`, "namespaces.user");
};

/** A certificate or key: PEM, or the path of a file with it. */
const pem =
  (what: "cert" | "key"): Rule =>
  (draft, { name, value }) => {
    const to = String(value).includes("-----BEGIN") ? `tls.${what}` : `tls.${what}File`;
    draft.set(to, value);
    draft.maps(name, to);
  };

const nats: Rule = (draft, { name, value }) => {
  draft.set(
    "nats.urls",
    String(value)
      .split(",")
      .map((url) => url.trim()),
  );
  draft.differs(name, "it needs JetStream, which keeps the messages", "nats.urls");
};

const engine: Rule = (draft, { name, value }) => {
  if (value === "redis")
    draft.differs(
      name,
      "Redis keeps presence alone: messages and history need NATS with JetStream (nats.urls)",
    );
  else draft.maps(name, undefined, "without NATS, everything stays in one instance");
};

const size: Rule = (draft, { name, value }) => {
  const bytes = Math.max(Number(value) || 0, 131_072);
  draft.set("limits.backpressure", bytes);
  if (bytes === value) draft.maps(name, "limits.backpressure");
  else draft.differs(name, "nearest that is taken: 128KiB", "limits.backpressure");
};

const onPath =
  (own: string): Rule =>
  (draft, { name, value }) => {
    if (value === own) draft.maps(name, undefined, "the same address");
    else draft.missing(name, `it is always ${own}: rewrite the address in the proxy before`);
  };

/** Settings by their names in version 6. */
export const RULES: Readonly<Record<string, Rule>> = {
  "http_server.address": same("host"),
  "http_server.port": same("port"),
  "http_server.internal_port": same(
    "admin.port",
    "health and metrics are there; the server API is on the clients' port",
  ),
  "http_server.internal_address": same("admin.host"),
  "http_server.tls.enabled": always("with a certificate"),
  "http_server.tls.cert_pem": pem("cert"),
  "http_server.tls.key_pem": pem("key"),
  "http_server.tls.cert_pem_file": pem("cert"),
  "http_server.tls.key_pem_file": pem("key"),
  "node.name": missing("instances are named instanceId, and each needs its own"),
  "log.level": logLevel,
  "log.file": missing("the log goes to stdout"),
  "engine.type": engine,
  "broker.enabled": always("with nats.urls"),
  "broker.type": (draft, entry, other) =>
    entry.value === "nats" ? draft.maps(entry.name, "nats.urls") : engine(draft, entry, other),
  "broker.nats.url": nats,
  "presence_manager.enabled": always("with redis.url"),
  "presence_manager.type": always("with redis.url"),
  "client.allowed_origins": origins,
  "client.allow_anonymous_connect_without_token": same("auth.anonymous"),
  "client.disallow_anonymous_connection_tokens": always(
    "tokens without a user are refused, unless auth.anonymous is set",
  ),
  "client.insecure": missing("for development, there is TRUNKLINE_INSECURE=true"),
  "client.insecure_skip_token_signature_verify": missing("signatures are always checked"),
  "client.user_id_http_header": missing(
    "ask a backend instead: auth.connectCallout, with the header in the endpoint's headers",
  ),
  "client.ping_interval": duration("ping.interval", 1_000, 600_000),
  "client.pong_timeout": duration("ping.pongTimeout", 500, 300_000),
  "client.expired_close_delay": duration("auth.expiryGrace", 0, 600_000),
  "client.expired_sub_close_delay": (draft, { name, value }, other) => {
    if (msOf(value) === (msOf(other("client.expired_close_delay")) ?? 25_000))
      draft.maps(name, "auth.expiryGrace");
    else draft.differs(name, "connections and subscriptions have one grace", "auth.expiryGrace");
  },
  "client.stale_close_delay": duration("limits.connectDeadline", 100, 300_000),
  "client.channel_limit": same("limits.channels"),
  "client.queue_max_size": size,
  "client.connection_limit": same("limits.connections"),
  "client.user_connection_limit": same("limits.connectionsPerUser", "counted on all instances together"),
  "client.connection_rate_limit": missing(
    "new connections have a limit for each address: limits.connectsPerIpPerSecond",
  ),
  "client.history_max_publication_limit": missing(
    "a page has at most what the namespace keeps, and half of limits.backpressure",
  ),
  "client.recovery_max_publication_limit": missing(
    "history.recoverLimit of each namespace; otherwise all that is kept",
  ),
  "client.presence_update_interval": always("presence hangs on the instance, not on each client"),
  "client.concurrency": always("commands never wait for each other, but for those of one channel"),
  "client.channel_position_check_delay": always("positions are checked all the time"),
  "client.connect_include_server_time": always("the time is always told"),
  "client.subscribe_to_user_personal_channel.enabled": personal,
  "client.subscribe_to_user_personal_channel.personal_channel_namespace": always("see the line before"),
  "client.subscribe_to_user_personal_channel.single_connection": (draft, { name, value }) => {
    if (value === true) draft.set("limits.newestWins", "user");
    draft.maps(name, "limits.newestWins");
  },
  "channel.history_meta_ttl": always("positions live as long as the stream"),
  "channel.max_length": (draft, { name, value }) =>
    Number(value) <= 255
      ? draft.maps(name, undefined, "255 characters")
      : draft.missing(name, "255 is the longest"),
  "channel.private_prefix": fixed("$", "the sign of private channels"),
  "channel.namespace_boundary": fixed(":", "the boundary of namespaces"),
  "channel.user_boundary": fixed("#", "the boundary before users"),
  "channel.user_separator": fixed(",", "the sign between users"),
  "rpc.namespace_boundary": fixed(":", "the boundary of namespaces"),
  "http_api.key": key,
  "http_api.disabled": always("without api.keys the server API is closed"),
  "http_api.insecure": missing("the server API takes a key, always"),
  "http_api.handler_prefix": onPath("/api"),
  "grpc_api.enabled": missing("there is no GRPC API: take POST /api, or NATS"),
  "admin.enabled": missing("there is no admin page"),
  "prometheus.enabled": (draft, { name }) =>
    draft.differs(
      name,
      "/metrics needs http.metricsToken or admin.port, and every name begins with trunkline_",
    ),
  "health.enabled": (draft, { name }) => draft.differs(name, "always on, as /healthz and /readyz"),
  "shutdown.timeout": duration("drain.deadline", 0, 3_600_000),
  "websocket.handler_prefix": onPath("/connection/websocket"),
  "websocket.compression": (draft, { name, value }) => {
    if (value !== true && value !== "true") return draft.maps(name, undefined, "not switched on");
    draft.set("compression.sent", "shared");
    draft.differs(name, "on Bun only, and from compression.threshold on", "compression.sent");
  },
  "websocket.message_size_limit": (draft, entry, other) => {
    const bytes = Math.max(Number(entry.value) || 0, 262_144);
    if (bytes === 262_144) return draft.maps(entry.name, "limits.frame", "256KiB, which is more");
    same("limits.frame")(draft, { ...entry, value: Math.min(bytes, 16 * 1_048_576) }, other);
  },
  "sse.enabled": always("always on"),
  "http_stream.enabled": always("always on"),
  "uni_sse.enabled": always("always on"),
  "uni_http_stream.enabled": always("always on"),
  "uni_websocket.enabled": missing("take uni_sse or uni_http_stream"),
  "uni_grpc.enabled": missing("take uni_sse or uni_http_stream"),
  "webtransport.enabled": missing(),
  "swagger.enabled": missing(),
  "debug.enabled": missing(),
  consumers: (draft, { name, value }) =>
    Array.isArray(value) && value.length === 0
      ? draft.maps(name, undefined, "none")
      : draft.missing(name, "let a service publish: over NATS, or by POST /api/publish"),
  "usage_stats.disabled": always("nothing is ever sent"),
  pid_file: missing("systemd and containers need none"),
};
