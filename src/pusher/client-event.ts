import { Buffer } from "node:buffer";
import { checkBody, checkOptions } from "../broker/body.ts";
import type { ErrorCode } from "../core/errors.ts";
import { Stats } from "../core/stats.ts";
import type { Session } from "../gateway/session/session.ts";
import type { Subscription } from "../gateway/session/subscription.ts";
import { PusherErrors } from "../protocol/pusher/codes.ts";
import { bodyOf } from "../protocol/pusher/data.ts";
import type { PusherMessage } from "../protocol/pusher/message.ts";
import { pusherError } from "../protocol/pusher/pusher.ts";
import { channelKind, type PusherApp, pusherChannel } from "./apps.ts";
import type { PusherContext } from "./context.ts";
import { countError, type Failure } from "./failures.ts";
import type { PusherState } from "./state.ts";

/**
 * A client tells the other subscribers of a private or presence channel something. It travels beside the messages, at
 * most once: it is in no history and no cache, and the client itself does not get it.
 */
export function clientEvent(
  context: PusherContext,
  session: Session,
  state: PusherState,
  message: PusherMessage,
): Failure {
  const { app } = state;
  const { event, data, to = "" } = message;
  const sub = session.subs.get(pusherChannel(app, to));
  const body = bodyOf(data);
  const error = refusal(context, state, message, sub, body) ?? overQuota(context, session, app, body);
  if (error || !sub) {
    const told = error ?? PusherErrors.clientEvent;
    session.send(pusherError(told, to));
    return countError(context.stats, told.code);
  }
  const user = channelKind(to).access === "presence" ? (sub.user ?? "") : "";
  const { id, name } = sub.channel;
  const info = { client: session.client, user };
  context.broker.sendEvent(name, { kind: "event", event, data: body, info, except: session.client });
  if (!context.webhooks.wants(app, "client_event")) return undefined;
  const said = { event, data, socket_id: session.client };
  context.webhooks.clientEvent(id, user === "" ? said : { ...said, user_id: user });
  return undefined;
}

/** The error for what is more than the application or the user may send; `undefined` when it is not. */
function overQuota(
  { quotas, appQuotas }: PusherContext,
  session: Session,
  app: PusherApp,
  body: string,
): ErrorCode | undefined {
  if (!appQuotas.messages(app, 1)) return PusherErrors.appRate;
  try {
    quotas.publish(session, body.length);
    return undefined;
  } catch {
    return PusherErrors.clientEventRate;
  }
}

/** Why an event is not passed on; `undefined` when it is. */
function refusal(
  context: PusherContext,
  state: PusherState,
  { event, data, to = "" }: PusherMessage,
  sub: Subscription | undefined,
  body: string,
): ErrorCode | undefined {
  const because = (why: string) => ({
    code: PusherErrors.clientEvent.code,
    message: `${PusherErrors.clientEvent.message}: ${why}`,
  });
  const { app } = state;
  const { access } = channelKind(to);
  if (!app.clientEvents) return because("the application has them switched off");
  if (!sub) return because("not subscribed to the channel");
  if (access !== "private" && access !== "presence") return because("only in private and presence channels");
  if (!state.takeClientEvent()) {
    Stats.bump(context.stats.rejected, "client_event_rate");
    return PusherErrors.clientEventRate;
  }
  if (Buffer.byteLength(data) > app.limits.eventBytes) return because("the data is too long");
  try {
    checkOptions({ event });
    checkBody(body, { ...sub.channel.rules, format: "json" });
  } catch {
    return because("malformed name or data");
  }
  return undefined;
}
