import { each, of, type Panel, quantile, rate, sum, WHO, WHO_LEGEND } from "./panel.ts";

const grown = (name: string) => `sum(increase(${of(name)}[$__rate_interval]))`;

export const RECOVERY: readonly Panel[] = [
  {
    title: "Recoveries, by outcome",
    about: "Returning clients: with messages, with nothing missed, and those whose messages are gone.",
    unit: "cps",
    queries: [[rate("recoveries_total", "outcome"), "{{outcome}}"]],
    page: "TrunklineMessagesMissing",
  },
  {
    title: "From memory and from the stream",
    about: "Joins and recoveries. Many from the stream: rings are small for how long clients are away.",
    unit: "cps",
    queries: each({ ring_hits_total: "memory", ring_misses_total: "stream" }, (name) => rate(name)),
  },
  {
    title: "Gaps, resyncs, lost streams",
    about:
      "Gaps and resyncs heal by themselves. New epochs and cuts mean that a stream was lost or went back.",
    queries: each(
      {
        gap_fills_total: "gaps filled",
        gap_filled_messages_total: "messages in them",
        resyncs_total: "resyncs",
        epoch_changes_total: "new epochs",
        stream_cuts_total: "cuts",
      },
      grown,
    ),
    page: "TrunklineStoreWentBack",
  },
  {
    title: "Reads",
    about: "Of stored messages, of heads, of presence lists; shared ones cost nothing.",
    unit: "cps",
    queries: each(
      {
        stream_reads_total: "messages",
        tail_checks_total: "heads",
        reads_shared_total: "shared",
        member_list_reads_total: "presence lists",
      },
      (name) => rate(name),
    ),
  },
];

export const NATS: readonly Panel[] = [
  {
    title: "Link",
    about: "1 while connected. Connections of clients stay while it is down.",
    queries: [
      [of("broker_connected"), WHO_LEGEND],
      [grown("broker_reconnects_total"), "reconnects"],
    ],
    page: "TrunklineBrokerAway",
  },
  {
    title: "Live feed",
    about: "Messages heard in a second. Repeated and reordered ones are put right here.",
    unit: "cps",
    queries: each(
      {
        broker_messages_total: "messages",
        broker_duplicates_total: "repeated",
        broker_reorders_total: "reordered",
      },
      (name) => rate(name),
    ),
  },
  {
    title: "Publishes that fail or wait",
    about: "By namespace and code: 100, NATS did not store it in time; 106 and 107, the message is at fault.",
    queries: [
      [rate("publish_errors_total", "namespace,code", ["namespace"]), "{{namespace}} {{code}}, a second"],
      [sum("publish_backlog"), "waiting"],
    ],
    page: "TrunklineBrokerAway",
  },
  {
    title: "Storage",
    about: "Streams without room, and messages refused for that.",
    queries: [
      [`max(${of("storage_full_streams")})`, "full streams"],
      [grown("storage_refused_total"), "messages refused"],
    ],
    bad: 1,
    page: "TrunklineStorageFull",
  },
  {
    title: "Streams, how full",
    about: "What streams of channels hold, of what they may. In a full one the oldest messages go.",
    unit: "percentunit",
    queries: [
      [
        `max by (stream) (${of("stream_bytes")}) / max by (stream) (${of("stream_bytes_limit")})`,
        "{{stream}}",
      ],
    ],
    bad: 0.8,
    page: "TrunklineStreamNearlyFull",
  },
  {
    title: "Bad signals",
    about: "Control signals and answers of instances that are none. The log has one line a second.",
    unit: "cps",
    queries: [[rate("bad_signals_total", "reason"), "{{reason}}"]],
  },
];

export const REDIS: readonly Panel[] = [
  {
    title: "Commands",
    about: "In a second; errors and time-outs by reason.",
    unit: "cps",
    queries: [
      [rate("presence_commands_total"), "commands"],
      [rate("presence_errors_total"), "errors"],
      [rate("presence_timeouts_total"), "time-outs"],
      [rate("presence_failures_total", "reason"), "failed: {{reason}}"],
    ],
    page: "TrunklinePresencePartial",
  },
  {
    title: "Latency",
    about: "Of calls. Above 100 ms presence and leases suffer.",
    unit: "s",
    queries: [
      [quantile(0.5, "presence_latency_seconds"), "50 %"],
      [quantile(0.99, "presence_latency_seconds"), "99 %"],
    ],
    bad: 0.25,
  },
  {
    title: "Presence partial",
    about:
      "1 while an instance knows only its own clients; dead instances swept; records that no instance wrote.",
    queries: [
      [of("presence_degraded"), WHO_LEGEND],
      ...each(
        {
          presence_degradations_total: "became partial",
          presence_sweeps_total: "swept",
          presence_bad_records_total: "bad records",
        },
        grown,
      ),
    ],
    page: "TrunklinePresencePartial",
  },
];

export const REGIONS: readonly Panel[] = [
  {
    title: "Connections, by region",
    about: "Where clients are.",
    queries: [
      [
        `sum by (region) (${of("connections")} * on (instance, worker) group_left (region) ${of("build_info")})`,
        "{{region}}",
      ],
    ],
  },
  {
    title: "Homes away",
    about: "Home regions that do not answer: nobody can publish to their namespaces from here.",
    queries: [[`max by (instance) (${of("homes_away")})`, "{{instance}}"]],
    bad: 1,
    page: "TrunklineHomeAway",
  },
  {
    title: "Copies behind",
    about: "Messages that copies lack; what a copy could not answer is read at home.",
    queries: [
      [`max by (instance) (${of("mirror_lag_messages")})`, "{{instance}}"],
      [rate("origin_reads_total"), "reads at home, a second"],
    ],
    bad: 1000,
    page: "TrunklineCopiesLate",
  },
];

export const SERVICES: readonly Panel[] = [
  {
    title: "Callouts, by service and outcome",
    about: "Questions to services in a second.",
    unit: "cps",
    queries: [
      [`${rate("callouts_total", "to,code")} > 0 or ${rate("callouts_total")}`, "{{to}} {{code}}"],
      [sum("callouts_under_way"), "under way (number)"],
    ],
    page: "TrunklineCalloutsFail",
  },
  {
    title: "Events",
    about: "Recorded for services in a second, and lost because NATS was away for long.",
    unit: "cps",
    queries: each({ events_emitted_total: "recorded", events_dropped_total: "lost" }, (name) => rate(name)),
    page: "TrunklineEventsDropped",
  },
  {
    title: "Events not acknowledged",
    about: "By durable consumer. RT_EVENTS drops its oldest events when it is full.",
    queries: [[`max by (consumer) (${of("events_pending")})`, "{{consumer}}"]],
    bad: 10_000,
    page: "TrunklineEventsPending",
  },
  {
    title: "Webhooks",
    about:
      "Events in a second: taken, set aside because they were refused or too old, lost; requests sent again.",
    unit: "cps",
    queries: each(
      {
        webhook_events_delivered_total: "taken",
        webhook_events_set_aside_total: "set aside",
        webhook_events_given_up_total: "too old",
        webhook_events_dropped_total: "lost",
        webhook_retries_total: "requests again",
      },
      (name) => rate(name),
    ),
    page: "TrunklineWebhookSetAside",
  },
  {
    title: "Webhooks behind",
    about: "Age of the oldest event that a webhook has not taken.",
    unit: "s",
    queries: [[`max(${of("webhook_lag_seconds")})`, "lag"]],
    warn: 60,
    bad: 300,
    page: "TrunklineWebhookBehind",
  },
  {
    title: "Spans of traces",
    about: "Sent to OpenTelemetry in a second, and lost.",
    unit: "cps",
    queries: [
      [rate("spans_sent_total"), "sent"],
      [rate("spans_dropped_total", "reason"), "lost: {{reason}}"],
    ],
  },
];

export const RUNTIME: readonly Panel[] = [
  {
    title: "Processor",
    about: "Of one thread: near 1 it is full.",
    unit: "percentunit",
    queries: [[rate("process_cpu_seconds_total", WHO), WHO_LEGEND]],
    warn: 0.7,
    bad: 0.9,
    page: "TrunklineOverloaded",
  },
  {
    title: "Memory",
    about: "Resident memory, and the JavaScript heap in it.",
    unit: "bytes",
    queries: [
      [of("resident_memory_bytes"), `resident ${WHO_LEGEND}`],
      [of("heap_bytes"), `heap ${WHO_LEGEND}`],
      [`max(${of("memory_limit_bytes")})`, "limit"],
    ],
    page: "TrunklineMemory",
  },
  {
    title: "Event loop",
    about: "How late it was, but for the latest 1 %, and its longest delay within the last second.",
    unit: "s",
    queries: [
      [quantile(0.99, "event_loop_lateness_seconds", WHO), `99 % ${WHO_LEGEND}`],
      [of("event_loop_delay_seconds"), `now ${WHO_LEGEND}`],
    ],
    bad: 0.25,
    page: "TrunklineLoopSlow",
  },
  {
    title: "Collections of garbage",
    about: "Share of time, and the longest but for 1 %.",
    unit: "s",
    queries: [
      [rate("gc_duration_seconds_sum", WHO), `a second ${WHO_LEGEND}`],
      [quantile(0.99, "gc_duration_seconds"), "99 %"],
    ],
  },
  {
    title: "Time since the start",
    about: "A saw-tooth is a restart loop. Drains are what a restart should begin with.",
    unit: "s",
    queries: [
      [`time() - ${of("process_start_time_seconds")}`, WHO_LEGEND],
      [grown("drains_total"), "drains (number)"],
    ],
    page: "TrunklineRestarting",
  },
  {
    title: "Workers",
    about: "Of machines with several: 0 is dead or hangs. Ends that nobody asked for.",
    queries: [
      [
        `sum by (instance) (${of("worker_up")}) or count by (instance) (${of("build_info")})`,
        "up {{instance}}",
      ],
      [
        `sum by (instance) (increase(${of("worker_ends_total")}[$__rate_interval])) or vector(0)`,
        "ends {{instance}}",
      ],
    ],
    page: "TrunklineWorkerDown",
  },
  {
    title: "Certificate and scrapes",
    about:
      "Seconds until the certificate for clients expires, where there is one; metrics that could not be read.",
    unit: "s",
    queries: [
      [`min(${of("certificate_expires_seconds")} > 0) - time() or vector(0)`, "certificate"],
      [grown("scrape_errors_total"), "scrape errors (number)"],
    ],
    page: "TrunklineCertificateExpires",
  },
];
