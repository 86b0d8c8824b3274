import { isTree, type Tree } from "./draft.ts";

/*
 * Centrifugo 5 and before had flat names where version 6 has groups. Rules know the names of version 6 alone; lines say
 * the name that stands in the file.
 */

/** A name of version 5 that is no other's beginning, and where it stands in version 6. */
const MOVED: Readonly<Record<string, string>> = {
  address: "http_server.address",
  port: "http_server.port",
  internal_address: "http_server.internal_address",
  internal_port: "http_server.internal_port",
  tls: "http_server.tls.enabled",
  tls_cert: "http_server.tls.cert_pem",
  tls_key: "http_server.tls.key_pem",
  tls_cert_pem: "http_server.tls.cert_pem",
  tls_key_pem: "http_server.tls.key_pem",
  name: "node.name",
  engine: "engine.type",
  broker: "broker.type",
  nats_url: "broker.nats.url",
  secret: "client.token.hmac_secret_key",
  allowed_origins: "client.allowed_origins",
  ping_interval: "client.ping_interval",
  pong_timeout: "client.pong_timeout",
  allow_anonymous_connect_without_token: "client.allow_anonymous_connect_without_token",
  disallow_anonymous_connection_tokens: "client.disallow_anonymous_connection_tokens",
  separate_subscription_token_config: "client.subscription_token.enabled",
  user_subscribe_to_personal: "client.subscribe_to_user_personal_channel.enabled",
  user_personal_channel_namespace: "client.subscribe_to_user_personal_channel.personal_channel_namespace",
  user_personal_single_connection: "client.subscribe_to_user_personal_channel.single_connection",
  global_history_meta_ttl: "channel.history_meta_ttl",
  api_key: "http_api.key",
  api_insecure: "http_api.insecure",
  api_disable: "http_api.disabled",
  api_handler_prefix: "http_api.handler_prefix",
  log_level: "log.level",
  log_file: "log.file",
  shutdown_timeout: "shutdown.timeout",
  namespaces: "channel.namespaces",
  rpc_namespaces: "rpc.namespaces",
  rpc_namespace_boundary: "rpc.namespace_boundary",
  proxy_subscribe: "channel.without_namespace.subscribe_proxy_enabled",
  proxy_publish: "channel.without_namespace.publish_proxy_enabled",
  proxy_sub_refresh: "channel.without_namespace.sub_refresh_proxy_enabled",
  subscribe_proxy_name: "channel.without_namespace.subscribe_proxy_name",
  publish_proxy_name: "channel.without_namespace.publish_proxy_name",
  sub_refresh_proxy_name: "channel.without_namespace.sub_refresh_proxy_name",
};

/** Switches that became groups of their own: `sse` is `sse.enabled`. */
const SWITCHES = [
  ...(["admin", "prometheus", "health", "swagger", "debug", "grpc_api", "sse", "http_stream"] as const),
  ...(["uni_sse", "uni_http_stream", "uni_websocket", "uni_grpc", "webtransport", "opentelemetry"] as const),
];

/** Options of channels without a namespace, which stood at the top. */
const CHANNEL_OPTION =
  /^(presence|join_leave|force_push_join_leave|history_(size|ttl|meta_ttl)|(force|allow)_(positioning|recovery)|force_recovery_mode|allowed_delta_types|delta_publish|allow_(subscribe|publish|presence|history)_for_\w+|allow_user_limited_channels|channel_regex)$/;

/** `proxy_connect_endpoint` and the like. */
const PROXY = /^proxy_(connect|refresh|subscribe|publish|sub_refresh|rpc)_(endpoint|timeout)$/;
const PROXY_PLACE: Readonly<Record<string, string>> = {
  ...{ connect: "client.proxy.connect", refresh: "client.proxy.refresh", rpc: "rpc.proxy" },
  ...{ subscribe: "channel.proxy.subscribe", publish: "channel.proxy.publish" },
  sub_refresh: "channel.proxy.sub_refresh",
};

/** Name in version 6 of a name at the top of a file of version 5; `undefined`: it is none. */
function renamed(name: string, value: unknown): string | undefined {
  if (Object.hasOwn(MOVED, name) && !isTree(value)) return MOVED[name];
  if ((SWITCHES as readonly string[]).includes(name) && !isTree(value)) return `${name}.enabled`;
  if (CHANNEL_OPTION.test(name)) return `channel.without_namespace.${name}`;
  const proxy = PROXY.exec(name);
  if (proxy) return `${PROXY_PLACE[proxy[1]!]!}.${proxy[2]!}`;
  const groups: readonly [RegExp, string][] = [
    [/^subscription_token_(.+)$/, "client.subscription_token.$1"],
    [/^token_(.+)$/, "client.token.$1"],
    [/^redis_(.+)$/, "engine.redis.$1"],
    [/^nats_(.+)$/, "broker.nats.$1"],
    [/^client_(.+)$/, "client.$1"],
    [/^channel_(max_length|private_prefix|namespace_boundary|user_boundary|user_separator)$/, "channel.$1"],
    [/^admin_(.+)$/, "admin.$1"],
    [/^websocket_(.+)$/, "websocket.$1"],
    [/^grpc_api_(.+)$/, "grpc_api.$1"],
  ];
  for (const [shape, to] of groups) if (shape.test(name) && !isTree(value)) return name.replace(shape, to);
  return undefined;
}

/** One setting of a file: its name there and in version 6, and its value. */
export interface Entry {
  readonly name: string;
  readonly path: string;
  readonly value: unknown;
}

/** Objects that are taken as they are: their members are no settings. */
const WHOLE = /\.(static_headers|channel_replacements)$/;

/** All settings of a file, of version 5 or 6, in order. */
export function entriesOf(file: Tree): Entry[] {
  const entries: Entry[] = [];
  const walk = (name: string, path: string, value: unknown): void => {
    if (!isTree(value) || WHOLE.test(path)) entries.push({ name, path, value });
    else for (const [own, member] of Object.entries(value)) walk(`${name}.${own}`, `${path}.${own}`, member);
  };
  for (const [name, value] of Object.entries(file)) walk(name, renamed(name, value) ?? name, value);
  return entries;
}
