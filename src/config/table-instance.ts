import { LOG_LEVELS } from "../core/log.ts";
import { REGION_PATTERN } from "../core/subject.ts";
import { choice, duration, list, maybeText, text, whole, yesNo } from "./setting.ts";

const NATS_URL = /^((nats|tls):\/\/)?([^\s@/]+@)?(\[[0-9a-fA-F:]+\]|[^\s@/:]+)(:\d{1,5})?\/?$/;

/** Settings of one instance and of what it stands on. */
export const instance = {
  port: whole(0, 65_535, {
    default: 8080,
    env: ["PORT"],
    doc: "TCP port of everything. 0 takes any free one.",
  }),
  host: text(/^[^\s/]+$/, "an address such as 0.0.0.0 or ::", {
    default: "0.0.0.0",
    dev: "127.0.0.1",
    doc: "Address to listen on.",
  }),
  region: text(REGION_PATTERN, "up to 32 of a-z, 0-9 and -", {
    default: "local",
    env: ["REGION", "FLY_REGION"],
    doc: "Where this instance runs. Names the region's copy of every stream.",
  }),
  regions: list(
    /^[a-z0-9][a-z0-9-]{0,31}=https?:\/\/[^\s/@?#]+$/,
    "a region and its public address, such as fra=https://fra.example.com",
    {
      default: [],
      doc: "Where each region is reached, for `GET /regions`, when it has an address of its own. The same on every instance. Not needed behind anycast (Fly).",
    },
  ),
  instanceId: text(/^[A-Za-z0-9_-]{1,64}$/, "up to 64 of A-Z, a-z, 0-9, _ and -", {
    default: () => crypto.randomUUID().slice(0, 13),
    fallbackText: "random",
    env: ["INSTANCE_ID", "FLY_MACHINE_ID"],
    doc: "Name of this instance; two living ones must never share it.",
  }),
  workers: whole(1, 1_024, {
    default: 1,
    doc: "Processes of `trunkline serve` that share the port, each an instance of its own. Several need NATS.",
  }),
  insecure: yesNo({
    default: false,
    dev: true,
    doc: "Let clients without any credentials do everything. For development only; said loudly at every start.",
  }),

  "nats.urls": list(NATS_URL, "a NATS server such as nats://host:4222", {
    default: [],
    fallbackText: "none: the embedded broker, which one instance keeps to itself",
    env: ["NATS_URL"],
    secret: "userinfo",
    doc: "NATS servers of this region, with JetStream. All of one cluster.",
  }),
  "nats.user": maybeText(/^.+$/s, "a user name", { doc: "User name for NATS, with `nats.password`." }),
  "nats.password": maybeText(/^.+$/s, "a password", { secret: "all", doc: "Password for NATS." }),
  "nats.token": maybeText(/^.+$/s, "a token", { secret: "all", doc: "Token for NATS." }),
  "nats.credentials": maybeText(/-----BEGIN NATS USER JWT-----/, "the text of a .creds file", {
    secret: "all",
    doc: "Text of a NATS credentials file (`.creds`), for platforms that hand secrets over as variables.",
  }),
  "nats.credentialsFile": maybeText(/^.+$/, "a path", { doc: "Path of a NATS credentials file (`.creds`)." }),
  "nats.root": text(/^[a-z][a-z0-9]{0,15}$/, "up to 16 of a-z and 0-9, a letter first", {
    default: "rt",
    doc: "First token of every subject; two systems on one NATS account need two.",
  }),
  "nats.home": maybeText(REGION_PATTERN, "the name of a region", {
    doc: "Home region of the namespaces that name none of their own, and of events. Unset: NATS puts streams where it likes, and no copies are kept.",
  }),
  "nats.publishWindow": whole(1, 65_536, {
    default: 1_000,
    doc: "Messages on their way to the stream and not acknowledged, at most.",
  }),
  "nats.publishQueue": whole(0, 1_000_000, {
    default: 10_000,
    doc: "Messages waiting behind the window, or for NATS to return, at most; more are refused at once.",
  }),
  "nats.publishTimeout": duration("100ms", "5m", {
    default: "4s",
    doc: "A message not stored by then is given up with a temporary error. Stock clients wait 5s for an answer.",
  }),

  "upstash.url": maybeText(/^https?:\/\/[^\s@]+$/, "a URL such as https://name.upstash.io", {
    env: ["UPSTASH_REDIS_REST_URL"],
    doc: "Redis over REST (Upstash), with `upstash.token`. Without it and `redis.url`: embedded presence.",
  }),
  "upstash.token": maybeText(/^\S+$/, "a token", {
    env: ["UPSTASH_REDIS_REST_TOKEN"],
    secret: "all",
    doc: "Token for `upstash.url`.",
  }),
  "redis.url": maybeText(/^rediss?:\/\/\S+$/, "a URL such as redis://host:6379 or rediss://…", {
    env: ["REDIS_URL"],
    secret: "userinfo",
    doc: "Any Redis or Valkey over RESP; not together with `upstash.url`.",
  }),
  "redis.prefix": text(/^[A-Za-z0-9:_{}-]{0,32}$/, "up to 32 of A-Z, a-z, 0-9 and : _ - { }", {
    default: "tl:",
    doc: "First part of every key; two systems on one Redis need two.",
  }),
  "presence.leaseTtl": duration("3s", "5m", {
    default: "15s",
    doc: "An instance that does not renew its lease for so long is dead, and its clients are swept.",
  }),
  "presence.leaseRenew": duration("500ms", "2m", {
    default: "5s",
    doc: "How often an instance renews its lease; at most half of `presence.leaseTtl`.",
  }),

  "admin.port": whole(0, 65_535, {
    default: 0,
    doc: "Second port, with `/healthz`, `/readyz` and `/metrics` of this very process; worker n has it plus n. 0: none.",
  }),
  "admin.host": text(/^[^\s/]+$/, "an address such as 127.0.0.1 or ::", {
    default: "127.0.0.1",
    doc: "Address of that second port. On others than loopback set `http.metricsToken`.",
  }),

  "log.level": choice(LOG_LEVELS, { default: "info", doc: "Least severity written." }),
  "log.format": choice(["json", "text"], {
    default: "json",
    dev: "text",
    doc: "One JSON object a line, or text for people.",
  }),
} as const;
