import { inboxOf } from "../core/channel.ts";
import { Closes, Unsubscribes } from "../core/errors.ts";
import { PacedLog } from "../core/paced-log.ts";
import type { GatewayContext, GatewayDeps, GatewayOptions } from "./context.ts";
import { onSignal } from "./control.ts";
import type { Gateway } from "./gateway.ts";
import { ConnectionLog } from "./instance/connection-log.ts";
import { drain } from "./instance/drain.ts";
import { LogLevelSwitch } from "./instance/log-level.ts";
import { LongAnswers } from "./instance/long-answers.ts";
import { noteLeftOut } from "./instance/message-troubles.ts";
import { Moves } from "./instance/move.ts";
import { Quotas } from "./instance/quotas.ts";
import { Reads } from "./instance/reads.ts";
import { sendAway, shed } from "./instance/shed.ts";
import { Troubles } from "./instance/trouble.ts";
import { EventPublisher } from "./membership/events.ts";
import { MemberLists } from "./membership/members.ts";
import { PresenceTracker } from "./membership/tracker.ts";
import { createOperations } from "./operations.ts";
import { serveOutbox } from "./outbox.ts";
import { createOversight } from "./oversee.ts";
import { onEntry, serveRestrictions } from "./restrictions/enforce.ts";
import { Restrictions } from "./restrictions/table.ts";
import { Emulation } from "./session/emulation.ts";
import { Host } from "./session/host.ts";
import { Hub } from "./session/hub.ts";
import { LibraryNames } from "./session/library-names.ts";
import { Liveness } from "./session/liveness.ts";
import { Session } from "./session/session.ts";
import { revoke } from "./subscribe/attach.ts";
import { survey } from "./survey.ts";
import { tapAnswer } from "./trace/request.ts";
import { Taps } from "./trace/taps.ts";
import { Traces } from "./trace/traces.ts";
import { serveWhy } from "./why.ts";

export interface RunningGateway extends Gateway {
  /** What dialects work on. */
  readonly context: GatewayContext;
  /** Begins to listen to broker and presence, which must have started. */
  start(): void;
  /** Takes over other options in one step; who is connected stays, and meets them with the next command. */
  reload(options: GatewayOptions): void;
  /** Idempotent. Ends every connection that is left (drain first) and tells presence of all departures. */
  close(): Promise<void>;
}

/** How often departures are looked at, ms: the resolution of the grace period. */
const DEPARTURES_TICK_MS = 200;
const SWEEP_MS = 1_000;

/** Builds the gateway of one instance. It owns no connection to anything: ports are passed in and closed elsewhere. */
export function createGateway(deps: GatewayDeps): RunningGateway {
  const context = createContext(deps);
  const { hub, stats, log, broker, presence, liveness, tracker } = context;
  const host = new Host(context);
  const stops: (() => void)[] = [];
  let state: "idle" | "running" | "closed" = "idle";

  return {
    context,
    accept: (handshake, dialect) => new Session(host, dialect.newClientId(), dialect, handshake),
    emulate: (commands, address) => context.emulation.emulate(commands, address),
    get connections() {
      return hub.sessions.size;
    },
    ...{ operations: createOperations(context), oversight: createOversight(context) },
    blocksAddress: (ip) => context.restrictions.blocksAddress(ip),
    drain: (pace) => drain(context, pace),
    shed: (count) => shed(hub, stats, count),
    sendAway: (count) => sendAway(hub, stats, count),
    reload: (options) => reload(context, host, options),

    start() {
      if (state !== "idle") return;
      state = "running";
      liveness.start();
      const ticks = [
        setInterval(() => void tracker.tick(), DEPARTURES_TICK_MS),
        setInterval(() => sweep(context), SWEEP_MS),
      ];
      for (const entry of broker.entries()) onEntry(context, entry);
      stops.push(
        broker.onEntry((entry) => onEntry(context, entry)),
        ...serveRestrictions(context),
        ...serveOutbox(context),
        serveWhy(context),
        () => ticks.forEach(clearInterval),
        broker.onSignal((kind, body) => onSignal(context, kind, body)),
        presence.onSwept((swept) => tracker.swept(swept)),
      );
      log.info("gateway", {
        namespaces: [...deps.namespaces.keys()].join(","),
        broker: broker.driver,
        presence: presence.driver,
      });
    },

    async close() {
      if (state === "closed") return;
      state = "closed";
      for (const session of [...hub.sessions.values()]) session.close(Closes.shutdown);
      for (const stop of stops) stop();
      liveness.stop();
      for (const part of [context.logLevel, context.traces, context.taps]) part.close();
      await tracker.tick(true);
      hub.close();
    },
  };
}

/** What is seen of this instance, and what is looked at through it. @param context asked later: it has both */
function createTracing(
  { instance, region, log, stats, broker, options }: GatewayDeps,
  context: () => GatewayContext,
) {
  const traces = new Traces({
    instance,
    ask: (signal) => survey(context(), "tap", signal, tapAnswer, signal.instance),
    untap(id, of) {
      context().taps.end(id);
      broker.signal("untap", { id }, of === undefined ? undefined : { instance: of });
    },
  });
  const taps = new Taps({
    ...{ instance, region, log, stats, payloads: options.tracePayloads },
    sessionOf: (client) => context().hub.sessions.get(client),
    sessionsOf: (user) => context().hub.sessionsOf(user),
    send(at, batch) {
      // Without a broker one still sees what happens here.
      if (at === instance) traces.receive(batch);
      else broker.signal("tapped", batch, { instance: at });
    },
  });
  return { taps, traces };
}

function sweep({ hub, restrictions }: GatewayContext): void {
  hub.sweep();
  restrictions.sweep();
}

function reload(context: GatewayContext, host: Host, options: GatewayOptions): void {
  Object.assign(context.options, options);
  for (const part of [host, context.hub, context.reads, context.answers, context.quotas]) part.reloaded();
}

/** Puts the parts of an instance together. */
function createContext(given: GatewayDeps): GatewayContext {
  // Its own copy, which all parts look into: a reload changes it.
  const deps: GatewayDeps = { ...given, options: { ...given.options } };
  const { options, stats, broker, fanout, overloaded, log } = deps;
  const { taps, traces } = createTracing(deps, () => context);
  const events = new EventPublisher(deps.recorder ?? broker, deps, deps.membership);
  const reads = new Reads({ ...deps, limits: options });
  const messageTroubles = new Troubles();
  const hub = new Hub(options, deps.namespaces, {
    broker: {
      attach: (channel, sink) => broker.attach(channel, sink),
      verify: (channel, position) => broker.verify(channel, position),
      history: (channel, query) => reads.history(channel, query),
    },
    fanout,
    stats,
    taps,
    overloaded,
    leftOut: (channel, offset) => noteLeftOut({ messageTroubles }, channel, offset),
    refused(channel, field) {
      // Whoever sends one may send thousands: all are counted.
      if (stats.framesRefused <= 10) log.error("a message could not be written", { channel, field });
    },
    lost(channel, sessions) {
      if (channel.rules.recovery === "off") return;
      for (const session of sessions) {
        const sub = session.subs.get(channel.id);
        if (sub) session.dialect.lost(session, sub);
      }
    },
    inboxDelivered: (session) => liveness.inboxDelivered(session),
  });
  const liveness = new Liveness(options, stats, {
    inboxOffset: newestOfInbox,
    subscriptionExpired: (session, sub) => revoke(context, session, sub, Unsubscribes.expired),
  });
  const context: GatewayContext = {
    ...deps,
    hub,
    events,
    liveness,
    reads,
    answers: new LongAnswers(options, stats),
    members: new MemberLists({ ...deps, rules: (name) => hub.rules(name) }),
    quotas: new Quotas(options, stats),
    emulation: new Emulation(deps),
    restrictions: new Restrictions(),
    troubles: new Troubles(),
    messageTroubles,
    logLevel: new LogLevelSwitch(log),
    ...{ taps, traces, libraries: new LibraryNames() },
    comings: new ConnectionLog(deps.connectionLog, options.connectionLinesPerSecond),
    moves: new Moves({ instance: deps.instance, sessions: hub.sessions, events, log }),
    badSignals: new PacedLog(deps.log),
    tracker: new PresenceTracker({ ...deps, events, hub, taps }),
    startedAt: performance.now(),
  };
  return context;
}

/** Newest offset of its inbox that a session was sent, 0 without one. */
function newestOfInbox(session: Session): number {
  const sub = session.subs.get(inboxOf(session.user));
  for (const task of session.catchUps) if (task.sub === sub) return task.from.offset;
  return sub?.channel.position.offset ?? 0;
}
