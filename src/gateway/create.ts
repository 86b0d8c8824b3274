import { execute } from "../centrifuge/dispatch.ts";
import { saveInboxCursor } from "../centrifuge/inbox.ts";
import { detach, revoke } from "../centrifuge/subscribe.ts";
import { inboxOf } from "../core/channel.ts";
import { Closes, Unsubscribes } from "../core/errors.ts";
import { Stats } from "../core/stats.ts";
import { STREAM_CODECS } from "../protocol/centrifuge/stream-codecs.ts";
import { CODECS } from "../protocol/codecs.ts";
import { ChannelUsersRegistry } from "../pusher/channel-users.ts";
import { tellLost } from "../pusher/resume.ts";
import { pusherEnded, pusherOpened, socketId } from "../pusher/session.ts";
import { SubscriptionCounts } from "../pusher/subscription-counts.ts";
import { WebhookEvents } from "../pusher/webhook-events.ts";
import type { Channel } from "./channel/channel.ts";
import type { GatewayContext, GatewayDeps, GatewayOptions } from "./context.ts";
import { onSignal } from "./control.ts";
import type { Gateway } from "./gateway.ts";
import { drain } from "./instance/drain.ts";
import { EventPublisher } from "./membership/events.ts";
import { PresenceTracker } from "./membership/tracker.ts";
import { createOperations } from "./operations.ts";
import { Emulation } from "./session/emulation.ts";
import { Hub } from "./session/hub.ts";
import { Liveness } from "./session/liveness.ts";
import { Session, type SessionHost } from "./session/session.ts";
import { catchUp } from "./subscribe/catch-up.ts";

export interface RunningGateway extends Gateway {
  /** Begins to listen to broker and presence, which must have started. */
  start(): void;
  /** Idempotent. Ends every connection that is left (drain first) and tells presence of all departures. */
  close(): Promise<void>;
}

/** How often departures are looked at, ms: the resolution of the grace period. */
const DEPARTURES_TICK_MS = 200;
const SWEEP_MS = 1_000;

/** Builds the gateway of one instance. It owns no connection to anything: ports are passed in and closed elsewhere. */
export function createGateway(deps: GatewayDeps): RunningGateway {
  const { options, stats, log, broker, presence } = deps;
  const webhooks = new WebhookEvents(deps.apps, deps.outbox);
  const events = new EventPublisher(broker, deps, webhooks);
  const hub = new Hub(
    { namespaces: deps.namespaces, ...options },
    {
      broker,
      fanout: deps.fanout,
      stats,
      trace: log.trace,
      overloaded: deps.overloaded,
      lost: (channel) => lost(context, channel),
      inboxDelivered: (session) => context.liveness.inboxDelivered(session),
    },
  );
  const liveness = new Liveness(options, stats, {
    inboxOffset(session) {
      const sub = session.subs.get(inboxOf(session.user));
      for (const task of session.behind ?? []) if (task.sub === sub) return task.from.offset;
      return sub?.channel.position.offset ?? 0;
    },
    subscriptionExpired: (session, sub) => revoke(context, session, sub, Unsubscribes.expired),
  });
  const failed = (error: unknown) => log.error("presence", { error });
  const counts = new SubscriptionCounts({ ...deps, webhooks, failed });
  const channelUsers = new ChannelUsersRegistry({ ...deps, failed });
  const context: GatewayContext = {
    ...deps,
    hub,
    events,
    webhooks,
    liveness,
    emulation: new Emulation(deps),
    channelUsers,
    tracker: new PresenceTracker({ ...deps, events, hub, counts }),
    startedAt: performance.now(),
  };
  const host = sessionHost(context, deps.release);
  const stops: (() => void)[] = [];
  let state: "idle" | "running" | "closed" = "idle";

  return {
    accept(handshake) {
      const { transport, protocol } = handshake;
      const codec =
        transport && protocol !== "pusher" ? STREAM_CODECS[transport][protocol] : CODECS[protocol];
      return new Session(host, handshake.pusher ? socketId() : crypto.randomUUID(), codec, handshake);
    },
    emulate: (commands) => context.emulation.emulate(commands),
    get connections() {
      return hub.sessions.size;
    },
    operations: createOperations(context),
    drain: (pace) => drain(context, pace),

    shed: (count) => shed(hub, stats, count),

    start() {
      if (state !== "idle") return;
      state = "running";
      liveness.start();
      const ticks = [
        setInterval(() => {
          void context.tracker.tick();
          counts.tick();
        }, DEPARTURES_TICK_MS),
        setInterval(() => {
          hub.sweep();
          channelUsers.tick();
        }, SWEEP_MS),
      ];
      stops.push(
        () => ticks.forEach(clearInterval),
        broker.onSignal((kind, body) => onSignal(context, kind, body)),
        // What was told while either was away was told to nobody.
        broker.onStatus(({ state }) => state === "connected" && channelUsers.doubt(hub.channels.values())),
        presence.onStatus((state) => state === "ok" && channelUsers.doubt(hub.channels.values())),
        presence.onSwept((swept) => context.tracker.swept(swept)),
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
      await context.tracker.tick(true);
      hub.close();
    },
  };
}

/** Lets the connections go that were silent longest. */
function shed(hub: Hub, stats: Stats, count: number): number {
  // Numbers sort without calling back: this runs when there is no time.
  const heardAt = Float64Array.from(hub.sessions.values(), (session) => session.lastSeenAt).sort();
  const silentSince = heardAt[Math.min(count, heardAt.length) - 1] ?? Number.NEGATIVE_INFINITY;
  let left = count;
  for (const session of hub.sessions.values()) {
    if (left === 0) break;
    if (session.lastSeenAt > silentSince) continue;
    session.close(Closes.overloaded);
    left--;
  }
  Stats.bump(stats.rejected, "shed", count - left);
  return count - left;
}

/** Continuity of a channel broke: its subscribers come back, and are told what they could not be given. */
function lost(context: GatewayContext, channel: Channel): void {
  if (channel.rules.recovery === "off") return;
  for (const session of [...channel.members()]) {
    const sub = session.subs.get(channel.id);
    const { pusher } = session.handshake;
    if (pusher) tellLost(session, pusher, channel);
    else if (sub?.side === "server") session.close(Closes.insufficientState);
    else if (sub) revoke(context, session, sub, Unsubscribes.insufficientState);
  }
}

function sessionHost(context: GatewayContext, release: (admissionKey: string) => void): SessionHost {
  const { stats, options, hub, liveness, emulation, tracker, log } = context;
  return {
    opened(session) {
      log.trace?.("socket opened", { client: session.client, protocol: session.handshake.protocol });
      hub.sessions.set(session.client, session);
      emulation.opened(session);
      liveness.opened(session);
      if (session.handshake.pusher) pusherOpened(context, session);
    },
    execute: (session, command) => execute(context, session, command),

    received(session, bytes) {
      stats.messagesIn++;
      stats.bytesIn += bytes;
      refill(session, options);
      if (options.bytesPerSecond === 0) return true;
      session.bytesLeft -= bytes;
      if (session.bytesLeft >= 0) return true;
      Stats.bump(stats.rejected, "byte_rate");
      return false;
    },

    heard(session) {
      if (options.commandsPerSecond === 0) return true;
      refill(session, options);
      session.commandsLeft -= 1;
      if (session.commandsLeft >= 0) return true;
      Stats.bump(stats.rejected, "command_rate");
      return false;
    },

    sent(bytes, taken) {
      if (taken) stats.bytesOut += bytes;
      else stats.writeErrors++;
    },

    drained(session) {
      for (const task of [...(session.behind ?? [])]) catchUp(context, session, task);
    },

    hadSlowConsumer: (session) => hub.hadSlowConsumer(session),

    malformed(session, detail) {
      stats.readErrors++;
      log.debug("malformed frame", { client: session.client, detail });
    },

    ended(session, code, reason) {
      log.trace?.("closed", { client: session.client, user: session.user, code, reason });
      stats.disconnects++;
      if (code === Closes.slow.code) stats.slowConsumers++;
      hub.sessions.delete(session.client);
      emulation.ended(session);
      release(session.handshake.admissionKey);
      liveness.ended(session);
      if (!session.identified) return;
      saveInboxCursor(context, session);
      pusherEnded(context, session);
      hub.removeUser(session);
      tracker.ended(session, code, reason);
      for (const sub of session.subs.values()) detach(context, session, sub);
    },
  };
}

/** Gives a session's buckets what came back since it was last heard. */
function refill(session: Session, { commandsPerSecond, bytesPerSecond }: GatewayOptions): void {
  const now = session.lastSeenAt;
  const elapsed = session.bucketAt === 0 ? Number.POSITIVE_INFINITY : (now - session.bucketAt) / 1000;
  session.bucketAt = now;
  if (commandsPerSecond > 0)
    session.commandsLeft = refilled(session.commandsLeft, elapsed, commandsPerSecond);
  if (bytesPerSecond > 0) session.bytesLeft = refilled(session.bytesLeft, elapsed, bytesPerSecond);
}

/** A token bucket's content: a burst of twice the rate. */
function refilled(left: number, seconds: number, perSecond: number): number {
  return Math.min(perSecond * 2, left + seconds * perSecond);
}
