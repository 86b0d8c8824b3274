import { Buffer } from "node:buffer";
import { channelKind, pusherChannel } from "../auth/pusher-apps.ts";
import { checkBody, checkOptions } from "../broker/body.ts";
import { PusherErrors } from "../core/errors.ts";
import { fullBucket, take } from "../core/limits.ts";
import { Stats } from "../core/stats.ts";
import type { PusherMessage } from "../protocol/command.ts";
import { pusherError } from "../protocol/pusher.ts";
import { bodyOf } from "../protocol/pusher-data.ts";
import type { Edge } from "./edge.ts";
import type { PusherState } from "./pusher-state.ts";
import type { Session } from "./session.ts";

/**
 * A client tells the other subscribers of a private or presence channel something. It travels beside the messages, at
 * most once: it is in no history and no cache, and the client itself does not get it.
 */
export function clientEvent(edge: Edge, session: Session, state: PusherState, message: PusherMessage): void {
  const { app } = state;
  const { event, data, to = "" } = message;
  const sub = session.subs.get(pusherChannel(app, to));
  const { access } = channelKind(to);
  const refuse = (why: string) => {
    edge.stats.commandErrors++;
    const { code, message: text } = PusherErrors.clientEvent;
    session.send(pusherError({ code, message: `${text}: ${why}` }));
  };
  if (!app.clientEvents) return refuse("the application has them switched off");
  if (!sub) return refuse("not subscribed to the channel");
  if (access !== "private" && access !== "presence") return refuse("only in private and presence channels");
  const rate = app.limits.clientEventsPerSecond;
  if (rate > 0 && !takeEvent(session, rate)) {
    Stats.bump(edge.stats.rejected, "client_event_rate");
    session.send(pusherError(PusherErrors.clientEventRate));
    return;
  }
  if (Buffer.byteLength(data) > app.limits.eventBytes) return refuse("the data is too long");
  const { name, rules } = sub.channel;
  const info = { client: session.client, user: access === "presence" ? (sub.user ?? "") : "" };
  const body = bodyOf(data);
  try {
    checkOptions({ event });
    checkBody(body, { ...rules, format: "json" });
  } catch {
    return refuse("malformed name or data");
  }
  edge.broker.notify(name, { kind: "event", event, data: body, info, except: session.client });
  if (!edge.webhooks.wants(app, "client_event")) return;
  edge.webhooks.clientEvent(sub.channel.id, {
    event,
    data,
    socket_id: session.client,
    ...(info.user !== "" && { user_id: info.user }),
  });
}

function takeEvent(session: Session, perSecond: number): boolean {
  const rate = { perSecond, burst: perSecond };
  const now = performance.now();
  session.publishes ??= fullBucket(rate, now);
  return take(session.publishes, rate, now);
}
