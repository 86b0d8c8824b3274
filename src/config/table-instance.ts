import { LOG_LEVELS } from "../core/log.ts";
import { REGION_PATTERN } from "../core/subject.ts";
import { REDIS_URLS, redisAddress } from "./redis-url.ts";
import { choice, duration, list, maybeText, size, text, whole, yesNo } from "./setting.ts";

/** One or more PEM blocks. */
const CERTIFICATE_SHAPE = /^\s*-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----\s*$/;
const KEY_SHAPE = /^\s*-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+-----END [A-Z ]*PRIVATE KEY-----\s*$/;

const lines = (pem: string) => pem.replaceAll("\\n", "\n");

const NATS_URL = /^((nats|tls):\/\/)?([^\s@/]+@)?(\[[0-9a-fA-F:]+\]|[^\s@/:]+)(:\d{1,5})?\/?$/;

/** Settings of one instance and of what it stands on. */
export const instance = {
  port: whole(0, 65_535, {
    default: 8080,
    env: ["PORT"],
    doc: "TCP port for all traffic. 0 takes any free port.",
  }),
  host: text(/^[^\s/]+$/, "an address such as 0.0.0.0 or ::", {
    default: "0.0.0.0",
    dev: "127.0.0.1",
    doc: "Address to listen on.",
  }),
  "tls.certFile": maybeText(/^.+$/, "a path", {
    doc: "Path of this instance's certificate (PEM, with its chain). With it clients need no proxy that ends TLS. A changed file is in effect within some seconds.",
  }),
  "tls.keyFile": maybeText(/^.+$/, "a path", { doc: "Path of the private key (PEM) of `tls.certFile`." }),
  "tls.cert": maybeText(CERTIFICATE_SHAPE, "a certificate in PEM form (-----BEGIN CERTIFICATE----- …)", {
    fromEnv: lines,
    doc: "Text of the certificate, for platforms that pass secrets as variables. In the environment, `\\n` may end a line.",
  }),
  "tls.key": maybeText(KEY_SHAPE, "a private key in PEM form (-----BEGIN PRIVATE KEY----- …)", {
    secret: "all",
    fromEnv: lines,
    doc: "Text of the private key of `tls.cert`.",
  }),
  region: text(REGION_PATTERN, "up to 32 of a-z, 0-9 and -", {
    default: "local",
    env: ["REGION", "FLY_REGION"],
    doc: "Region of this instance. The region's copy of every stream has this name in it.",
  }),
  regions: list(
    /^[a-z0-9][a-z0-9-]{0,31}=https?:\/\/[^\s/@?#]+$/,
    "a region and its public address, such as fra=https://fra.example.com",
    {
      default: [],
      doc: "Public address of each region, for `GET /regions`. Set it if regions have their own addresses, and set it alike on every instance. Anycast (Fly) does not need it.",
    },
  ),
  instanceId: text(/^[A-Za-z0-9_-]{1,64}$/, "up to 64 of A-Z, a-z, 0-9, _ and -", {
    default: () => crypto.randomUUID().slice(0, 13),
    fallbackText: "random",
    env: ["INSTANCE_ID", "FLY_MACHINE_ID"],
    doc: "Name of this instance. Two running instances must never share a name.",
  }),
  workers: whole(1, 1_024, {
    default: 1,
    doc: "Processes of `trunkline serve` that share the port. Each one is an instance. More than one needs NATS.",
  }),
  insecure: yesNo({
    default: false,
    dev: true,
    doc: "Let clients do everything without credentials. For development only. Every start warns about it.",
  }),

  "nats.urls": list(NATS_URL, "a NATS server such as nats://host:4222", {
    default: [],
    fallbackText: "none: the embedded broker, which serves a single instance",
    env: ["NATS_URL"],
    secret: "userinfo",
    doc: "NATS servers of this region, with JetStream. All must belong to one cluster.",
  }),
  "nats.user": maybeText(/^.+$/s, "a user name", { doc: "User name for NATS, with `nats.password`." }),
  "nats.password": maybeText(/^.+$/s, "a password", { secret: "all", doc: "Password for NATS." }),
  "nats.token": maybeText(/^.+$/s, "a token", { secret: "all", doc: "Token for NATS." }),
  "nats.credentials": maybeText(/-----BEGIN NATS USER JWT-----/, "the text of a .creds file", {
    secret: "all",
    doc: "Text of a NATS credentials file (`.creds`), for platforms that pass secrets as variables.",
  }),
  "nats.credentialsFile": maybeText(/^.+$/, "a path", { doc: "Path of a NATS credentials file (`.creds`)." }),
  "nats.nkeySeedFile": maybeText(/^.+$/, "a path", {
    doc: "Path of an nkey's seed (`SU…`), for NATS users that are nkeys.",
  }),
  "nats.tlsCaFile": maybeText(/^.+$/, "a path", {
    doc: "Path of the certificates (PEM) of those who sign the certificates of NATS, where the system does not know them.",
  }),
  "nats.tlsCertFile": maybeText(/^.+$/, "a path", {
    doc: "Path of this instance's own certificate (PEM), for a NATS that asks for one. With `nats.tlsKeyFile`.",
  }),
  "nats.tlsKeyFile": maybeText(/^.+$/, "a path", {
    doc: "Path of the private key (PEM) of `nats.tlsCertFile`.",
  }),
  "nats.inbox": maybeText(
    /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/,
    "a subject without wildcards, such as _INBOX",
    {
      fallbackText: "`<nats.root>inbox.gateway`",
      doc: "What the subjects of answers begin with. Nobody but gateways may be allowed to listen there.",
    },
  ),
  "nats.root": text(/^[a-z][a-z0-9]{0,15}$/, "up to 16 of a-z and 0-9, a letter first", {
    default: "rt",
    doc: "First token of every subject. Two systems on one NATS account need different roots.",
  }),
  "nats.home": maybeText(REGION_PATTERN, "the name of a region", {
    doc: "Home region of events and of namespaces without a `home`. If unset, NATS decides where streams live, and no region keeps copies.",
  }),
  "nats.allowOldReplicas": yesNo({
    default: false,
    doc: "Start although `history.replicas` is above 1 and a server of the cluster is older than nats-server 2.10.29, which can lose and swap acknowledged messages when its cluster is cut. Every start says so, and `/readyz` has it under `degraded`.",
  }),
  "nats.eventStream": size("0B", "1024GiB", {
    default: "0B",
    doc: "Room that NATS reserves for `RT_EVENTS`, and as much for `RT_WEBHOOKS`. Events that take more push out the oldest. Set it alike on every instance. 0: 256 MiB for a new stream (64 or 16 if NATS has not four times as much free), and what `nats stream edit --max-bytes` has set stays.",
  }),
  "nats.publishWindow": whole(1, 65_536, {
    default: 1_000,
    doc: "Most messages that may be sent to the stream and not yet acknowledged.",
  }),
  "nats.publishQueue": whole(0, 1_000_000, {
    default: 10_000,
    doc: "Most messages that may wait for room in the window or for NATS to return. Further messages are refused at once.",
  }),
  "nats.publishTimeout": duration("100ms", "5m", {
    default: "4s",
    doc: "A publish that is not stored within this time fails with a temporary error. Stock clients wait 5s for an answer.",
  }),

  "upstash.url": maybeText(/^https?:\/\/[^\s@]+$/, "a URL such as https://name.upstash.io", {
    env: ["UPSTASH_REDIS_REST_URL"],
    doc: "Redis over REST (Upstash), with `upstash.token`. With neither this nor `redis.url`, presence is embedded.",
  }),
  "upstash.token": maybeText(/^\S+$/, "a token", {
    env: ["UPSTASH_REDIS_REST_TOKEN"],
    secret: "all",
    doc: "Token for `upstash.url`.",
  }),
  "upstash.tlsCaFile": maybeText(/^.+$/, "a path", {
    doc: "Path of the certificates (PEM) of those who sign the certificate of `upstash.url`, where the system does not know them.",
  }),
  "redis.url": maybeText(
    /^rediss?(-sentinel|-cluster)?:\/\/\S+$/,
    REDIS_URLS,
    {
      env: ["REDIS_URL"],
      secret: "userinfo",
      doc: "Any Redis or Valkey over RESP: one server, the master that sentinels name (the path is its name), or a cluster (some of its nodes; they name the others). Login and TLS are alike for all nodes. It excludes `upstash.url`.",
    },
    (url) => redisAddress(url) !== undefined,
  ),
  "redis.sentinelUser": maybeText(/^.+$/s, "a user name", {
    doc: "User name for the sentinels of a `redis-sentinel://…`, with `redis.sentinelPassword`.",
  }),
  "redis.sentinelPassword": maybeText(/^.+$/s, "a password", {
    secret: "all",
    doc: "Password for the sentinels of a `redis-sentinel://…`. Without it, they are asked without a login.",
  }),
  "redis.tlsCaFile": maybeText(/^.+$/, "a path", {
    doc: "Path of the certificates (PEM) of those who sign the certificates of Redis, where the system does not know them.",
  }),
  "redis.tlsCertFile": maybeText(/^.+$/, "a path", {
    doc: "Path of this instance's own certificate (PEM), for a Redis that asks for one. With `redis.tlsKeyFile`.",
  }),
  "redis.tlsKeyFile": maybeText(/^.+$/, "a path", {
    doc: "Path of the private key (PEM) of `redis.tlsCertFile`.",
  }),
  "redis.prefix": text(/^[A-Za-z0-9:_{}-]{0,32}$/, "up to 32 of A-Z, a-z, 0-9 and : _ - { }", {
    default: "tl:",
    doc: "First part of every key. Two systems on one Redis need different prefixes.",
  }),
  "presence.leaseTtl": duration("3s", "5m", {
    default: "15s",
    doc: "An instance that does not renew its lease for this long counts as dead, and a sweep removes its clients.",
  }),
  "presence.leaseRenew": duration("500ms", "2m", {
    default: "5s",
    doc: "How often an instance renews its lease. At most half of `presence.leaseTtl`.",
  }),

  "admin.port": whole(0, 65_535, {
    default: 0,
    doc: "Second port, with `/healthz`, `/readyz` and `/metrics` of this process. Worker n uses this port plus n. 0: no second port.",
  }),
  "admin.host": text(/^[^\s/]+$/, "an address such as 127.0.0.1 or ::", {
    default: "127.0.0.1",
    doc: "Address of the second port. If it is not loopback, set `http.metricsToken`.",
  }),

  "log.level": choice(LOG_LEVELS, { default: "info", doc: "Lowest severity that is written." }),
  "log.format": choice(["json", "text"], {
    default: "json",
    dev: "text",
    doc: "One JSON object a line, or text for people.",
  }),
  "tracing.trustServices": yesNo({
    default: true,
    doc: "Take part in traces that services have begun: `traceparent` of messages in NATS and of calls of the server API. Otherwise they become links of traces of the instance's own.",
  }),
  "tracing.trustClients": yesNo({
    default: false,
    doc: "The same for clients. Whoever can connect can then have everything recorded that it does.",
  }),
  "trace.payloads": yesNo({
    default: false,
    dev: true,
    doc: "Let live traces of this instance show the bodies of messages to who asks for them.",
  }),
  "log.connections": choice(["sampled", "all", "off"], {
    default: "sampled",
    doc: "Lines about connects, refused connects and disconnects: `sampled` writes at most `log.connectionsPerSecond` of each and says how many it left out.",
  }),
  "log.connectionsPerSecond": whole(1, 100_000, {
    default: 20,
    doc: "Most lines a second of each kind with `log.connections: sampled`.",
  }),
  "log.connectionsFile": maybeText(/^.+$/, "a path", {
    fallbackText: "unset: the log",
    doc: "Path of a file for those lines, as JSON. It is appended to; rotate it by copying and truncating.",
  }),
} as const;
