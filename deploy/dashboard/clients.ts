import { each, of, type Panel, quantile, rate, sum, WHO, WHO_LEGEND } from "./panel.ts";

export const OVERVIEW: readonly Panel[] = [
  {
    kind: "stat",
    title: "Instances",
    about: "Instances that Prometheus reaches, each worker for itself.",
    queries: [[`count(${of("build_info")})`, "instances"]],
    warn: 2,
    bad: 1,
    page: "TrunklineDown",
  },
  {
    kind: "stat",
    title: "Alerts",
    about: "Alerts of deploy/monitoring/alerts.yaml that fire now.",
    queries: [['count(ALERTS{alertname=~"Trunkline.+",alertstate="firing"}) or vector(0)', "firing"]],
    bad: 1,
  },
  {
    kind: "stat",
    title: "Connections",
    about: "Open connections of all chosen instances.",
    queries: [[sum("connections"), "connections"]],
  },
  {
    kind: "stat",
    title: "Capacity used",
    about: "The fullest instance. Above 80 % add instances, so that one may fail.",
    unit: "percentunit",
    queries: [[`max(${of("connections")} / ${of("connections_limit")})`, "used"]],
    warn: 0.7,
    bad: 0.8,
    page: "TrunklineNearlyFull",
  },
  {
    kind: "stat",
    title: "Users",
    about: "Users with a connection; one who is on several instances counts there each time.",
    queries: [[sum("users"), "users"]],
  },
  {
    kind: "stat",
    title: "Deliveries",
    about: "Messages to clients in a second.",
    unit: "cps",
    queries: [[rate("deliveries_total"), "deliveries"]],
  },
  {
    kind: "stat",
    title: "Stored, 99 %",
    about: "How long NATS takes to store a message, but for the slowest 1 %.",
    unit: "s",
    queries: [[quantile(0.99, "publish_latency_seconds"), "p99"]],
    warn: 0.25,
    bad: 1,
    page: "TrunklinePublishSlow",
  },
  {
    kind: "stat",
    title: "Delivered, 99 %",
    about: "Age of messages when they go to the sockets, but for the slowest 1 %.",
    unit: "s",
    queries: [[quantile(0.99, "delivery_latency_seconds"), "p99"]],
    warn: 0.25,
    bad: 1,
  },
  {
    kind: "stat",
    title: "Failed commands",
    about: "Share of commands that were answered with an error or ended their connection.",
    unit: "percentunit",
    queries: [
      [
        `${rate("command_latency_seconds_count", "", ['code!="ok"'])} / ${rate("command_latency_seconds_count")}`,
        "failed",
      ],
    ],
    warn: 0.05,
    bad: 0.2,
    page: "TrunklineInternalErrors",
  },
  {
    kind: "stat",
    title: "NATS",
    about: "1 while every instance is connected.",
    queries: [[`min(${of("broker_connected")})`, "connected"]],
    warn: 1,
    bad: 0.5,
    page: "TrunklineBrokerAway",
  },
  {
    kind: "stat",
    title: "Presence partial",
    about: "Instances that know only their own clients, because Redis does not answer.",
    queries: [[sum("presence_degraded"), "degraded"]],
    bad: 1,
    page: "TrunklinePresencePartial",
  },
  {
    kind: "stat",
    title: "Recoveries failed",
    about: "Share of returning clients who were told that messages are missing.",
    unit: "percentunit",
    queries: [
      [`${rate("recoveries_total", "", ['outcome="failed"'])} / ${rate("recoveries_total")}`, "failed"],
    ],
    warn: 0.02,
    bad: 0.05,
    page: "TrunklineMessagesMissing",
  },
];

export const CONNECTIONS: readonly Panel[] = [
  {
    title: "Connections",
    about: "Open connections of each instance, and what all together take at most.",
    queries: [
      [sum("connections", WHO), WHO_LEGEND],
      [sum("connections_limit"), "limit of all"],
    ],
    page: "TrunklineNearlyFull",
  },
  {
    title: "Connects, by transport",
    about: "Connections identified in a second. A wave after a restart is normal.",
    unit: "cps",
    queries: [[rate("connects_total", "transport,protocol"), "{{transport}} {{protocol}}"]],
  },
  {
    title: "Disconnects, by code",
    about:
      "1001 and 1000 are pages that were left; 1006 links that broke; 3001 a drain; 3008 slow readers; 3012 silent ones.",
    unit: "cps",
    queries: [[rate("disconnects_total", "code"), "{{code}}"]],
  },
  {
    title: "Users, channels, subscriptions",
    about: "What is live now.",
    queries: [
      [sum("users"), "users"],
      [sum("channels", "namespace", ["namespace"]), "channels {{namespace}}"],
      [sum("subscriptions", "namespace", ["namespace"]), "subscriptions {{namespace}}"],
    ],
  },
  {
    title: "Without WebSocket",
    about: "Connections over HTTP streams and SSE: open, and begun in a second.",
    queries: [
      [sum("stream_connections", "transport"), "open {{transport}}"],
      [rate("stream_connects_total", "transport"), "begun {{transport}}"],
      [rate("emulation_requests_total", "outcome"), "requests {{outcome}}"],
    ],
  },
  {
    title: "Slow consumers and dead peers",
    about:
      "Clients closed because they read too slowly, or were not heard of. They come back and get what they missed.",
    unit: "cps",
    queries: each(
      { slow_consumers_total: "slow", dead_peers_total: "dead", pings_sent_total: "pings" },
      (name) => rate(name),
    ),
    page: "TrunklineSlowConsumers",
  },
];

export const MESSAGES: readonly Panel[] = [
  {
    title: "Publishes, by namespace",
    about: "Messages taken from clients and services in a second.",
    unit: "cps",
    queries: [
      [rate("publishes_total", "namespace", ["namespace"]), "{{namespace}}"],
      [rate("publish_duplicates_total"), "stored before"],
    ],
  },
  {
    title: "Publications and deliveries",
    about: "One publication makes a delivery for each subscriber.",
    unit: "cps",
    queries: [
      [rate("publications_total"), "publications"],
      [rate("deliveries_total", WHO), `deliveries ${WHO_LEGEND}`],
    ],
  },
  {
    title: "Messages from clients",
    about: "Frames read in a second, and those that could not be understood or written.",
    unit: "cps",
    queries: each(
      {
        messages_received_total: "read",
        read_errors_total: "not understood",
        write_errors_total: "not written",
      },
      (name) => rate(name),
    ),
    page: "TrunklineInternalErrors",
  },
  {
    title: "Bytes",
    about: "Without framing.",
    unit: "Bps",
    queries: [
      [rate("sent_bytes_total", WHO), `sent ${WHO_LEGEND}`],
      [rate("received_bytes_total"), "received"],
    ],
  },
  {
    title: "Left out on purpose",
    about: "Conflated by send windows; of low priority under overload; bodies that a namespace refuses.",
    unit: "cps",
    queries: each(
      {
        conflated_total: "conflated",
        low_priority_dropped_total: "low priority",
        bodies_rejected_total: "bodies refused",
        frames_refused_total: "frames that do not fit (a fault of ours)",
      },
      (name) => rate(name),
    ),
  },
  {
    title: "Failed commands, by code",
    about:
      "100: NATS is away or a service failed; 103: no right; 109 and 110: expired; 111: too many; internal: a fault of ours.",
    unit: "cps",
    queries: [[`${rate("command_errors_total", "code")} > 0 or ${rate("command_errors_total")}`, "{{code}}"]],
    page: "TrunklineInternalErrors",
  },
];

export const LATENCY: readonly Panel[] = [
  {
    title: "Commands, 99 %",
    about: "Until their answer, by method: connect, subscribe, publish, rpc and the others.",
    unit: "s",
    queries: [[quantile(0.99, "command_latency_seconds", "method"), "{{method}}"]],
    bad: 1,
  },
  {
    title: "Subscribes, 99 %",
    about: "By namespace. Many at once wait for reads of history.",
    unit: "s",
    queries: [[quantile(0.99, "subscribe_latency_seconds", "namespace", ["namespace"]), "{{namespace}}"]],
    bad: 1,
  },
  {
    title: "Publish → stored, 99 %",
    about: "By namespace. Above a second it is NATS: a slow disk, or a leader far away.",
    unit: "s",
    queries: [[quantile(0.99, "publish_latency_seconds", "namespace", ["namespace"]), "{{namespace}}"]],
    bad: 1,
    page: "TrunklinePublishSlow",
  },
  {
    title: "Stored → delivered",
    about: "Age of messages when they go to the sockets, by the clocks of NATS and of this machine.",
    unit: "s",
    queries: [
      [quantile(0.5, "delivery_latency_seconds", "namespace", ["namespace"]), "50 % {{namespace}}"],
      [quantile(0.99, "delivery_latency_seconds", "namespace", ["namespace"]), "99 % {{namespace}}"],
    ],
    bad: 1,
  },
  {
    title: "Server API, 99 %",
    about: "Calls of services until their answer, by method.",
    unit: "s",
    queries: [[quantile(0.99, "api_latency_seconds", "method"), "{{method}}"]],
    bad: 1,
  },
  {
    title: "Callouts and webhooks, 99 %",
    about: "How long services take to answer: by kind of question, and by webhook.",
    unit: "s",
    queries: [
      [quantile(0.99, "callout_latency_seconds", "kind"), "{{kind}}"],
      [quantile(0.99, "webhook_latency_seconds", "webhook"), "webhook {{webhook}}"],
    ],
    bad: 1,
    page: "TrunklineCalloutsFail",
  },
];

export const LIMITS: readonly Panel[] = [
  {
    title: "Refused, by reason",
    about:
      "Connections, requests and commands above a limit. `ip_rate` of everybody at once: the proxy is not trusted.",
    unit: "cps",
    queries: [[`${rate("rejected_total", "reason")} > 0 or ${rate("rejected_total")}`, "{{reason}}"]],
    page: "TrunklineTurningAway",
  },
  {
    title: "Overload",
    about: "1 while an instance sheds load or refuses everybody.",
    queries: [[of("overload_state", ['state!="ok"']), `${WHO_LEGEND} {{state}}`]],
    bad: 1,
    page: "TrunklineOverloaded",
  },
  {
    title: "Descriptors used",
    about: "Of those the process may open.",
    unit: "percentunit",
    queries: [[`${of("process_open_fds")} / ${of("process_max_fds")}`, WHO_LEGEND]],
    warn: 0.8,
    bad: 0.9,
    page: "TrunklineDescriptors",
  },
  {
    title: "History read",
    about:
      "Bytes of history asked for now, answers that clients have not read yet, and reads that wait for room.",
    unit: "bytes",
    queries: [
      [sum("read_bytes"), "asked for"],
      [sum("unread_answer_bytes"), "unread"],
      [sum("reads_waiting"), "reads that wait (number)"],
    ],
  },
];
