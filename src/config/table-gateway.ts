import ipaddr from "ipaddr.js";
import { apps, devApps, showApp } from "./apps.ts";
import {
  issuers,
  JWKS_SHAPE,
  JWKS_WHAT,
  longEnough,
  PEM_SHAPE,
  PEM_WHAT,
  SECRET_WHAT,
  showIssuer,
} from "./issuers.ts";
import {
  bytesPerSecond,
  choice,
  duration,
  list,
  maybeText,
  size,
  structure,
  whole,
  yesNo,
} from "./setting.ts";
import { jsonFromEnv } from "./shapes.ts";
import { endpoints, showEndpoint } from "./webhooks.ts";

const MANY = 1_000_000_000;

/** `*`, or scheme, host and port exactly as browsers write them (no path, lower case, default ports left out). */
const ORIGIN = /^(\*|loopback|[a-z][a-z0-9+.-]*:\/\/[^\s/?#*@A-Z]+)$/;
export const CIDR = /^[0-9a-fA-F:.]+(\/[0-9]{1,3})?$/;

export const isAddress = (text: string) =>
  text.includes("/") ? ipaddr.isValidCIDR(text) : ipaddr.isValid(text) && /[.:].*[.:]/.test(text);

function isOrigin(origin: string): boolean {
  if (!/^(https?|wss?):/.test(origin)) return true; // "*", or an app's own scheme such as capacitor://localhost
  return URL.canParse(origin) && new URL(origin).origin === origin && origin.startsWith("http");
}

/** Settings of the gateway: who comes in, and how much each may do. */
export const gateway = {
  "auth.tokenSecret": maybeText(
    /^[\s\S]*$/,
    SECRET_WHAT,
    {
      env: ["TRUNKLINE_TOKEN_SECRET"],
      secret: "all",
      doc: "Secret of tokens signed with HS256, HS384 or HS512. At least 32 bytes (`openssl rand -hex 32`).",
    },
    longEnough,
  ),
  "auth.tokenPublicKey": maybeText(PEM_SHAPE, PEM_WHAT, {
    env: ["TRUNKLINE_TOKEN_PUBLIC_KEY"],
    fromEnv: (pem) => pem.replaceAll("\\n", "\n"),
    doc: "Public key (PEM) of tokens signed with RS*, PS*, ES* or EdDSA. In the environment, `\\n` may end a line.",
  }),
  "auth.tokenJwksUrl": maybeText(JWKS_SHAPE, JWKS_WHAT, {
    env: ["TRUNKLINE_TOKEN_JWKS_URL"],
    doc: "URL of the public keys of tokens (JWKS).",
  }),
  "auth.issuers": structure(
    issuers,
    "a list of issuers",
    {
      default: [],
      secret: "parts",
      doc:
        "Further issuers whose tokens are accepted. Each has `algorithms`, exactly one of `secret`, `publicKey` and " +
        "`jwksUrl`, and optionally `issuer`, `audience` and `kid`.",
    },
    (value) => value.map(showIssuer),
  ),
  apps: structure(
    apps,
    "a list of apps",
    {
      default: [],
      dev: devApps,
      secret: "parts",
      fromEnv: jsonFromEnv,
      doc:
        "Applications of the Pusher protocol. Each has `id`, `keys` and `namespace`; [pusher.md](pusher.md) lists all " +
        "members. The variable holds the same list as JSON.",
    },
    (value) => value.map(showApp),
  ),
  "webhooks.endpoints": structure(
    endpoints,
    "a list of endpoints",
    {
      default: [],
      secret: "parts",
      fromEnv: jsonFromEnv,
      doc:
        "Endpoints that are told of events. Each has `name`, `url` and `secret`; [webhooks.md](webhooks.md) lists all " +
        "members. The variable holds the same list as JSON.",
    },
    (value) => value.map(showEndpoint),
  ),
  "webhooks.tries": whole(1, 100, {
    default: 5,
    doc: "How often an event that a webhook refuses is tried before those behind it are. It is set aside when the webhook takes one of these.",
  }),
  "webhooks.keepSetAside": duration("1m", "30d", {
    default: "7d",
    doc: "How long events are kept that were set aside or given up, for `trunkline outbox`.",
  }),
  "webhooks.allowedNetworks": list(
    CIDR,
    "an address or range such as 10.0.0.0/8",
    {
      default: [],
      insecure: ["0.0.0.0/0", "::/0"],
      env: ["TRUNKLINE_WEBHOOKS_ALLOWED_NETWORKS"],
      doc:
        "Addresses inside your network that webhooks may be sent to. All other private, link-local and loopback addresses are " +
        "refused, whatever the name of an endpoint leads to.",
    },
    isAddress,
  ),
  "webhooks.maxAge": duration("1s", "7d", {
    default: "1h",
    doc: "How long a webhook's endpoint has to accept an event. Older events are given up, and set aside.",
  }),
  "webhooks.timeout": duration("100ms", "1m", {
    default: "5s",
    doc: "How long a webhook's endpoint may take to answer. After that the events are sent again.",
  }),
  "auth.anonymous": yesNo({
    default: false,
    insecure: true,
    env: ["TRUNKLINE_ANONYMOUS"],
    doc: 'Let clients without a token in, as the user "". The namespaces say what they may do.',
  }),
  "auth.expiryGrace": duration("0s", "10m", {
    default: "25s",
    doc: "How long a connection or subscription may live without a refresh after its token has expired.",
  }),

  "api.keys": list(/^[\x21-\x7e]{16,256}$/, "a key of 16 to 256 printable characters without spaces", {
    default: [],
    secret: "all",
    doc: "Keys of the server API (`POST /api/…`). Without a key, the server API is closed.",
  }),

  "console.tokens": list(
    /^[A-Za-z0-9_.@-]{1,64}:(look|act|payloads)(\+(look|act|payloads))*:[!-+.-~-]{16,256}$/,
    "a name, its rights and a secret of 16 to 256 printable characters without spaces and commas, such as ann:look+act:4f0c…",
    {
      default: [],
      secret: "all",
      doc: "Who may sign in to the console at `/console/`, and with what rights: `look`, `act` (publish, disconnect, block, replay), `payloads` (read messages). People sign in with the secret. Without a token there is no console. With `admin.port` it is on that port alone.",
    },
  ),

  "http.allowedOrigins": list(
    ORIGIN,
    "an origin as browsers send it, such as https://app.example.com, or *",
    {
      default: [],
      insecure: ["*"],
      dev: ["loopback"],
      env: ["TRUNKLINE_ALLOWED_ORIGINS"],
      doc:
        "Origins whose web pages may connect, compared exactly. `*` allows every origin, `loopback` every port of " +
        "`localhost`, `127.0.0.1` and `[::1]`. Requests without an `Origin` " +
        "header (apps, services) and pages of this host are always allowed.",
    },
    isOrigin,
  ),
  "http.maxRequest": size("1KiB", "64MiB", { default: "4MiB", doc: "Longest body of an HTTP request." }),
  "http.metricsToken": maybeText(/^[\x21-\x7e]{16,256}$/, "16 to 256 printable characters without spaces", {
    secret: "all",
    doc: "Bearer token that `/metrics` requires. Without one, only the second port (`admin.port`) answers.",
  }),
  "http.publicMetrics": yesNo({
    default: false,
    insecure: true,
    doc: "Without `http.metricsToken`: everybody who reaches the clients' port may read the metrics there.",
  }),

  "limits.connections": whole(0, 10_000_000, {
    default: 0,
    doc: "Most connections of this instance. 0: as many as the descriptor limit allows, less a reserve.",
  }),
  "limits.connectionsPerIp": whole(0, MANY, {
    default: 1_000,
    dev: 0,
    doc: "Most connections from one address (IPv6: one /64) to this instance. 0: no limit.",
  }),
  "limits.connectsPerIpPerSecond": whole(0, MANY, {
    default: 50,
    dev: 0,
    doc: "Most new connections a second from one address. 0: no limit.",
  }),
  "limits.connectsPerIpBurst": whole(1, MANY, {
    default: 500,
    doc: "Most new connections from one address at once, before the rate limit applies.",
  }),
  "limits.connectionsPerUser": whole(0, MANY, {
    default: 0,
    doc: "Most connections of one user on all instances together. 0: no limit. Anonymous clients are not counted.",
  }),
  "limits.newestWins": choice(["off", "user", "device"], {
    default: "off",
    doc: "Which older connections a new one closes, on all instances: those of the same user, or of the same user and device.",
  }),
  "limits.requestsPerIpPerSecond": whole(0, MANY, {
    default: 500,
    dev: 0,
    doc:
      "Most HTTP requests a second from one address that need no key (commands of clients without WebSocket, pages, " +
      "`/regions`), with a burst of twice that. 0: no limit. A wrong session name counts tenfold.",
  }),
  "limits.httpConnectionsPerIp": whole(1, MANY, {
    default: 100,
    doc:
      "Most connections from one address that stay open between plain HTTP requests; beyond it each is closed with its " +
      "answer. Trusted proxies have no such limit.",
  }),
  "limits.connectDeadline": duration("100ms", "5m", {
    default: "10s",
    doc: "How long a new connection has to authenticate.",
  }),
  "limits.channels": whole(1, 100_000, {
    default: 128,
    doc: "Most channels that one connection may subscribe to.",
  }),
  "limits.commandsPerSecond": whole(0, MANY, {
    default: 100,
    doc: "Most commands a second from one connection, with a burst of twice that. 0: no limit.",
  }),
  "limits.bytesPerSecond": bytesPerSecond({
    default: "256KiB",
    doc: "Most bytes a second from one connection, with a burst of twice that. 0: no limit.",
  }),
  "limits.pendingCommands": whole(1, 100_000, {
    default: 256,
    doc: "Most commands of one connection that may wait for their answers. Further commands are refused (error 111).",
  }),
  "limits.frame": size("1KiB", "16MiB", {
    default: "256KiB",
    doc:
      "Longest frame a client may send. SDKs that come back subscribe to all their channels in one frame, with a token for " +
      "each channel that needs one.",
  }),
  "limits.history": size("1MiB", "64GiB", {
    default: "32MiB",
    doc:
      "Most bytes of history that the instance asks NATS for at once, for pages and recoveries; and as many of pages and lists " +
      "of members that clients have not read. Further ones wait. NATS cuts a connection with more than 64 MiB unsent (its `max_pending`).",
  }),
  "limits.commandsPerUserPerSecond": whole(0, MANY, {
    default: 500,
    dev: 0,
    doc:
      "Most commands a second from one user to this instance, over all connections, with a burst of twice that. 0, or " +
      "0 in `limits.commandsPerSecond`: no limit. Anonymous clients are counted by address, and have ten times as much together, here and in the limits below.",
  }),
  "limits.publishesPerUserPerSecond": whole(0, MANY, {
    default: 200,
    dev: 0,
    doc: "Most messages a second from one user to this instance, with a burst of twice that. 0: no limit.",
  }),
  "limits.publishBytesPerUserPerSecond": bytesPerSecond({
    default: "1MiB",
    doc: "Most bytes of messages a second from one user to this instance, with a burst of twice that. 0: no limit.",
  }),
  "limits.bytesInPerUserPerSecond": bytesPerSecond({
    default: "2MiB",
    doc: "Most bytes of frames a second from one user to this instance, with a burst of twice that. Beyond it the connection is closed (3013). 0: no limit.",
  }),
  "limits.answerBytesPerUserPerSecond": bytesPerSecond({
    default: "8MiB",
    doc: "Most bytes of history pages and lists of members a second to one user, with a burst of twice that. 0: no limit.",
  }),
  "limits.recoveryBytesPerUserPerSecond": bytesPerSecond({
    default: "8MiB",
    doc: "Most bytes a second that are read from NATS for one user's clients that come back, and sent to them, with a burst of twice that. 0: no limit.",
  }),
  "limits.newChannelsPerUserPerMinute": whole(0, MANY, {
    default: 2_000,
    doc: "Most channels a minute that one user makes live on this instance: those that nobody followed here. 0: no limit.",
  }),
  "limits.callsPerUser": whole(0, MANY, {
    default: 100,
    doc: "Most RPCs and callouts of one user under way at once. 0: no limit.",
  }),
  "limits.callsPerNamespace": whole(0, MANY, {
    default: 1_000,
    doc: "Most callouts under way at once about the channels of one namespace: a slow service holds up no other one. 0: no limit.",
  }),
  "limits.liveChannels": whole(0, 100_000_000, {
    default: 250_000,
    doc: "Most channels live on this instance; each takes about 10 KB here and in NATS. Inboxes are not refused. 0: no limit.",
  }),
  "limits.dryRun": yesNo({
    default: false,
    doc: "Let through what is more than one user's limits, and only count it (`trunkline_rejected_total`, `dry_run_…`).",
  }),
  "limits.historyPerUser": size("64KiB", "64GiB", {
    default: "4MiB",
    doc: "Most bytes of history pages that the instance asks for at once for one user (an anonymous one: for its address); recoveries count with them; and as many of pages and lists that are not read.",
  }),
  "limits.backpressure": size("64KiB", "1GiB", {
    default: "1MiB",
    doc: "A connection with more unsent bytes than this is closed. The client reconnects and resumes from its position.",
  }),

  "ping.interval": duration("1s", "10m", { default: "25s", doc: "How often a silent client is pinged." }),
  "ping.pongTimeout": duration("500ms", "5m", {
    default: "8s",
    doc: "A client that stays silent for this long after a ping counts as gone. Must be shorter than `ping.interval`.",
  }),

  "rpc.timeout": duration("10ms", "5m", {
    default: "4s",
    doc: "How long a service may take to answer. Stock clients wait 5s.",
  }),
  "rpc.body": size("1B", "1MiB", { default: "64KiB", doc: "Longest request and longest answer." }),

  "channels.everyone": list(/^[^\s,]{1,255}$/, "the name of a channel, such as announcements", {
    default: [],
    doc: "Channels that every connection is subscribed to from the start. One publish there reaches all users.",
  }),
  "channels.linger": duration("0s", "1h", {
    default: "20s",
    doc: "How long a channel stays attached after its last subscriber has left. A subscriber that returns in this time costs nothing.",
  }),
  "channels.ring": size("4KiB", "1GiB", {
    default: "1MiB",
    doc: "Most memory for one channel's ring: its recent messages, for clients that join or resume.",
  }),
  "channels.ringTotal": size("1MiB", "64GiB", {
    default: "128MiB",
    doc: "Most memory for the rings of all channels together.",
  }),
} as const;
