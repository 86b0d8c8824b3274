import { Draft, type Tree } from "./draft.ts";
import { appOf, redisUrl, setApp, wholeOf } from "./pusher-app.ts";
import { isTrue, sayRest, Variables } from "./variables.ts";

/** What Reverb has where nothing is said. */
const EVENT_BYTES = 10_000;
const ACTIVITY_S = 30;

/** Settings of Laravel Reverb, as Laravel's environment file has them, as ours. */
export function fromReverb(text: string): Draft {
  const draft = new Draft();
  const variables = new Variables(text);
  server(draft, variables);
  const app = appOf(draft, variables, {
    id: ["REVERB_APP_ID"],
    key: ["REVERB_APP_KEY"],
    secret: ["REVERB_APP_SECRET"],
  });
  if (app) setApp(draft, app, appOptions(draft, variables, app));
  liveness(draft, variables);
  scaling(draft, variables);
  draft.set("http.allowedOrigins", ["*"]);
  draft.differs(
    "(allowed_origins)",
    "pages of every origin may connect, as config/reverb.php says unless you changed it: name yours",
    "http.allowedOrigins",
  );
  const left = variables.left();
  for (const name of left.filter((one) => one.startsWith("REVERB_"))) draft.missing(name, MISSING[name]);
  const others = left.filter((one) => !one.startsWith("REVERB_")).length;
  sayRest(
    draft,
    variables.names.filter((name) => name.startsWith("REVERB_")),
  );
  if (others > 0)
    draft.maps("(others)", undefined, `${others} variables are Laravel's, and stay where they are`);
  return draft;
}

const MISSING: Readonly<Record<string, string>> = {
  REVERB_PULSE_INGEST_INTERVAL: "there are no cards for Pulse: take /metrics",
  REVERB_TELESCOPE_INGEST_INTERVAL: "there are no entries for Telescope: take the log",
  REVERB_SERVER: "there is one kind of server",
};

function server(draft: Draft, variables: Variables): void {
  const host = variables.take("REVERB_SERVER_HOST");
  if (host) {
    draft.set("host", host);
    draft.maps("REVERB_SERVER_HOST", "host");
  }
  const port = wholeOf(variables.take("REVERB_SERVER_PORT"));
  draft.set("port", port ?? 8080);
  draft.maps("REVERB_SERVER_PORT", "port", port === undefined ? "not set, which is 8080 there" : undefined);
  if (variables.take("REVERB_SERVER_PATH")) {
    draft.differs(
      "REVERB_SERVER_PATH",
      "clients may have any prefix before /app; servers call /apps without one",
    );
  }
  for (const name of ["REVERB_HOST", "REVERB_PORT", "REVERB_SCHEME"]) {
    if (variables.take(name))
      draft.maps(
        name,
        undefined,
        "where Laravel and browsers find the server: leave it, or say where the new one is",
      );
  }
  const request = wholeOf(variables.take("REVERB_MAX_REQUEST_SIZE"));
  if (request !== undefined) {
    draft.set("http.maxRequest", Math.min(Math.max(request, 1_024), 67_108_864));
    draft.maps("REVERB_MAX_REQUEST_SIZE", "http.maxRequest");
  }
}

/** @returns the longest event, bytes */
function appOptions(draft: Draft, variables: Variables, app: Tree): number {
  const said = variables.take("REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM");
  const from = said ?? "members";
  app.clientEvents = from !== "none";
  if (from === "all") {
    draft.differs(
      "REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM",
      "from subscribers of private and presence channels only",
      "apps[].clientEvents",
    );
  } else
    draft.maps(
      "REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM",
      "apps[].clientEvents",
      said ?? "not set, which is members there",
    );

  const longest = wholeOf(variables.take("REVERB_APP_MAX_MESSAGE_SIZE"));
  const event = Math.min(longest ?? EVENT_BYTES, 1_048_576);
  const limits: Tree = { event };
  draft.maps(
    "REVERB_APP_MAX_MESSAGE_SIZE",
    "apps[].limits.event",
    longest === undefined ? `not set, which is ${EVENT_BYTES} there` : undefined,
  );

  const limited = isTrue(variables.take("REVERB_APP_RATE_LIMITING_ENABLED"));
  const attempts = wholeOf(variables.take("REVERB_APP_RATE_LIMIT_MAX_ATTEMPTS")) ?? 60;
  const seconds = wholeOf(variables.take("REVERB_APP_RATE_LIMIT_DECAY_SECONDS")) ?? 60;
  const terminates = isTrue(variables.take("REVERB_APP_RATE_LIMIT_TERMINATE"));
  limits.clientEventsPerSecond = limited ? Math.max(1, Math.ceil(attempts / seconds)) : 0;
  if (limited) {
    draft.differs(
      "REVERB_APP_RATE_LIMITING_ENABLED",
      "of client events of one connection, in a second; everything else has limits.commandsPerSecond",
      "apps[].limits.clientEventsPerSecond",
    );
    if (terminates)
      draft.differs(
        "REVERB_APP_RATE_LIMIT_TERMINATE",
        "a client event too many is answered with an error, and the connection stays",
      );
  }
  app.limits = limits;

  const connections = wholeOf(variables.take("REVERB_APP_MAX_CONNECTIONS"));
  if (connections !== undefined) {
    draft.set("limits.connections", connections);
    draft.differs("REVERB_APP_MAX_CONNECTIONS", "of each instance, not of the app", "limits.connections");
  }
  return event;
}

function liveness(draft: Draft, variables: Variables): void {
  const seconds = wholeOf(variables.take("REVERB_APP_ACTIVITY_TIMEOUT"));
  const interval = Math.min(Math.max(seconds ?? ACTIVITY_S, 1), 600);
  draft.set("ping.interval", `${interval}s`);
  if (interval < 9) draft.set("ping.pongTimeout", `${Math.max(500, interval * 500)}ms`);
  draft.maps(
    "REVERB_APP_ACTIVITY_TIMEOUT",
    "ping.interval",
    seconds === undefined ? `not set, which is ${ACTIVITY_S} there` : undefined,
  );
  if (variables.take("REVERB_APP_PING_INTERVAL"))
    draft.differs(
      "REVERB_APP_PING_INTERVAL",
      "a silent client is pinged after ping.interval",
      "ping.interval",
    );
}

function scaling(draft: Draft, variables: Variables): void {
  const on = isTrue(variables.take("REVERB_SCALING_ENABLED"));
  const channel = variables.take("REVERB_SCALING_CHANNEL");
  if (!on) return;
  draft.differs(
    "REVERB_SCALING_ENABLED",
    "several instances share NATS with JetStream (set nats.urls), and Redis for presence",
    "nats.urls",
  );
  if (channel) draft.missing("REVERB_SCALING_CHANNEL", "see nats.root and redis.prefix");
  const url = variables.take("REDIS_URL");
  const parts = ["REDIS_HOST", "REDIS_PORT", "REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_DB"] as const;
  const [host, port, user, password, database] = parts.map((name) => {
    const value = variables.take(name);
    return value === "null" ? undefined : value;
  });
  const address = url ?? redisUrl({ host, port, user, password, database });
  if (address !== undefined) draft.set("redis.url", address);
  draft.maps(
    url ? "REDIS_URL" : "REDIS_HOST",
    "redis.url",
    host || url ? undefined : "not set, which is 127.0.0.1 there",
  );
}
