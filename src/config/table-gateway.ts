import ipaddr from "ipaddr.js";
import { apps, appsFromEnv, DEV_APPS, showApp } from "./apps.ts";
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
  text,
  whole,
  yesNo,
} from "./setting.ts";

const MANY = 1_000_000_000;

/** `*`, or scheme, host and port exactly as browsers write them (no path, lower case, default ports left out). */
const ORIGIN = /^(\*|[a-z][a-z0-9+.-]*:\/\/[^\s/?#*@A-Z]+)$/;
const CIDR = /^[0-9a-fA-F:.]+(\/[0-9]{1,3})?$/;

const isAddress = (text: string) =>
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
      doc: "Secret of tokens signed with HS256, HS384 or HS512; at least 32 bytes (`openssl rand -hex 32`).",
    },
    longEnough,
  ),
  "auth.tokenPublicKey": maybeText(PEM_SHAPE, PEM_WHAT, {
    env: ["TRUNKLINE_TOKEN_PUBLIC_KEY"],
    fromEnv: (pem) => pem.replaceAll("\\n", "\n"),
    doc: "Public key (PEM) of tokens signed with RS*, PS*, ES* or EdDSA; in the environment `\\n` may end a line.",
  }),
  "auth.tokenJwksUrl": maybeText(JWKS_SHAPE, JWKS_WHAT, {
    env: ["TRUNKLINE_TOKEN_JWKS_URL"],
    doc: "Where the public keys of tokens are published (JWKS).",
  }),
  "auth.issuers": structure(
    issuers,
    "a list of issuers",
    {
      default: [],
      secret: "parts",
      doc:
        "Parties whose tokens are taken, beside the short forms above: `algorithms`, exactly one of `secret`, " +
        "`publicKey` and `jwksUrl`, and where wanted `issuer`, `audience` and `kid`.",
    },
    (value) => value.map(showIssuer),
  ),
  apps: structure(
    apps,
    "a list of apps",
    {
      default: [],
      dev: [...DEV_APPS],
      secret: "parts",
      fromEnv: appsFromEnv,
      doc:
        "Applications of the Pusher protocol, each with `id`, `keys` and `namespace`; every other member is in " +
        "[pusher.md](pusher.md). In the environment: the same list as JSON.",
    },
    (value) => value.map(showApp),
  ),
  "webhooks.maxAge": duration("1s", "7d", {
    default: "1h",
    doc: "A webhook's events that its endpoint has not taken by then are given up.",
  }),
  "webhooks.timeout": duration("100ms", "1m", {
    default: "5s",
    doc: "How long a webhook's endpoint may take to answer before the events are sent again.",
  }),
  "auth.anonymous": yesNo({
    default: false,
    insecure: true,
    env: ["TRUNKLINE_ANONYMOUS"],
    doc: 'Let clients without a token in, as the user "". What they may do is the namespaces\' choice.',
  }),
  "auth.connectCallout": yesNo({
    default: false,
    env: ["TRUNKLINE_CONNECT_CALLOUT"],
    doc: "Ask the service on `rtauth.connect` who a client without a token is.",
  }),
  "auth.expiryGrace": duration("0s", "10m", {
    default: "25s",
    doc: "How long past its token's end a connection or subscription may live without a refresh.",
  }),

  "api.keys": list(/^[\x21-\x7e]{16,256}$/, "a key of 16 to 256 printable characters without spaces", {
    default: [],
    secret: "all",
    doc: "Keys of the server API (`POST /api/…`). None: the server API is closed.",
  }),

  "http.allowedOrigins": list(
    ORIGIN,
    "an origin as browsers send it, such as https://app.example.com, or *",
    {
      default: [],
      insecure: ["*"],
      env: ["TRUNKLINE_ALLOWED_ORIGINS"],
      doc:
        "Web pages that may connect, compared exactly; `*` is every one. Requests without an `Origin` header " +
        "(apps, services) and pages of this very host are always allowed.",
    },
    isOrigin,
  ),
  "http.maxRequest": size("1KiB", "64MiB", { default: "4MiB", doc: "Longest body of an HTTP request." }),
  "http.metricsToken": maybeText(/^[\x21-\x7e]{16,256}$/, "16 to 256 printable characters without spaces", {
    secret: "all",
    doc: "Bearer token that `/metrics` asks for. None: whoever reaches the port may read it.",
  }),

  "proxy.trust": choice(["none", "fly", "header"], {
    default: "none",
    env: ["TRUNKLINE_TRUSTED_PROXY"],
    doc:
      "Who tells a client's address: `none`, the TCP peer; `fly`, the header `Fly-Client-IP`; `header`, the one " +
      "named by `proxy.header`.",
  }),
  "proxy.header": text(/^[A-Za-z0-9-]{1,64}$/, "the name of a header", {
    default: "X-Forwarded-For",
    doc: "With `proxy.trust: header`, the header proxies append addresses to.",
  }),
  "proxy.cidrs": list(
    CIDR,
    "an address or range such as 10.0.0.0/8",
    {
      default: [],
      doc:
        "Addresses of the proxies: only those are believed, and the client is the last address in the header that is " +
        "none of them. Empty: `proxy.hops` counts instead.",
    },
    isAddress,
  ),
  "proxy.hops": whole(1, 16, {
    default: 1,
    doc:
      "Without `proxy.cidrs`, how many proxies append to the header: the client is that many addresses from its " +
      "end. Only where nothing but the proxies can reach the port.",
  }),

  "limits.connections": whole(0, 10_000_000, {
    default: 0,
    doc: "Connections of this instance. 0: what the descriptor limit allows, less a reserve.",
  }),
  "limits.connectionsPerIp": whole(0, MANY, {
    default: 1_000,
    dev: 0,
    doc: "Connections from one address (IPv6: one /64) to this instance. 0: no limit.",
  }),
  "limits.connectsPerIpPerSecond": whole(0, MANY, {
    default: 50,
    dev: 0,
    doc: "New connections a second from one address. 0: no limit.",
  }),
  "limits.connectsPerIpBurst": whole(1, MANY, {
    default: 500,
    doc: "New connections from one address at once, before the rate counts.",
  }),
  "limits.connectionsPerUser": whole(0, MANY, {
    default: 0,
    doc: "Connections of one user, on all instances together. 0: no limit. Anonymous clients are not counted.",
  }),
  "limits.newestWins": choice(["off", "user", "device"], {
    default: "off",
    doc: "Close the older connections of the same user, or of the same user and device, everywhere.",
  }),
  "limits.connectDeadline": duration("100ms", "5m", {
    default: "10s",
    doc: "A connection must have authenticated by then.",
  }),
  "limits.channels": whole(1, 100_000, { default: 128, doc: "Channels one connection may subscribe to." }),
  "limits.commandsPerSecond": whole(0, MANY, {
    default: 100,
    doc: "Commands a second from one connection, with a burst of twice that. 0: no limit.",
  }),
  "limits.bytesPerSecond": bytesPerSecond({
    default: "256KiB",
    doc: "Bytes a second from one connection, with a burst of twice that. 0: no limit.",
  }),
  "limits.pendingCommands": whole(1, 100_000, {
    default: 256,
    doc: "Commands of one connection that may wait for their answers; further ones are refused (error 111).",
  }),
  "limits.frame": size("1KiB", "16MiB", { default: "64KiB", doc: "Longest frame a client may send." }),
  "limits.backpressure": size("64KiB", "1GiB", {
    default: "1MiB",
    doc: "A connection with more than this unsent is closed, and resumes from its position.",
  }),

  "ping.interval": duration("1s", "10m", { default: "25s", doc: "How often a silent client is pinged." }),
  "ping.pongTimeout": duration("500ms", "5m", {
    default: "8s",
    doc: "A client that says nothing for so long after a ping is gone. Shorter than `ping.interval`.",
  }),

  "rpc.timeout": duration("10ms", "5m", {
    default: "4s",
    doc: "How long a service may take to answer. Stock clients wait 5s.",
  }),
  "rpc.body": size("1B", "1MiB", { default: "64KiB", doc: "Longest request and longest answer." }),

  "channels.everyone": list(/^[^\s,]{1,255}$/, "the name of a channel, such as announcements", {
    default: [],
    doc: "Channels every connection is subscribed to from the start: one publish there reaches all users.",
  }),
  "channels.linger": duration("0s", "1h", {
    default: "20s",
    doc: "How long a channel stays attached after its last subscriber left: a flap costs nothing.",
  }),
  "channels.ring": size("4KiB", "1GiB", {
    default: "1MiB",
    doc: "Recent messages of one channel kept in memory for those who join or resume, at most.",
  }),
  "channels.ringTotal": size("1MiB", "64GiB", {
    default: "128MiB",
    doc: "As above, of all channels together.",
  }),

  "drain.ratePerSecond": whole(1, 1_000_000, {
    default: 1_000,
    doc: "Connections told to come back later, each second, when the instance is stopped.",
  }),
  "drain.deadline": duration("0s", "1h", {
    default: "25s",
    doc: "What is still open then is closed at once. The platform's kill time-out must be longer.",
  }),
  "overload.eventLoopDelay": duration("10ms", "1m", {
    default: "500ms",
    doc:
      "Event-loop delay from which the instance sheds load (idle connections only when it lasts 5 s); from twice that " +
      "it refuses connections.",
  }),
  "overload.memory": size("0B", "1024GiB", {
    default: "0B",
    doc: "Resident memory from which the instance sheds load; from a tenth more it refuses. 0: no limit.",
  }),
  "overload.bytesOutPerSecond": bytesPerSecond({
    default: "0B",
    doc: "Bytes sent a second from which the instance sheds load; from a tenth more it refuses. 0: no limit.",
  }),
  "health.natsAway": duration("0s", "1h", {
    default: "10s",
    doc: "`/readyz` says no when NATS has been away for longer.",
  }),
} as const;
