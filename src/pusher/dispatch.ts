import { PusherErrors } from "../core/errors.ts";
import type { GatewayContext } from "../gateway/context.ts";
import type { Session } from "../gateway/session/session.ts";
import type { PusherMessage } from "../protocol/command.ts";
import { PONG, pusherError } from "../protocol/pusher/pusher.ts";
import { clientEvent } from "./client-event.ts";
import { rememberPoints, tellPosition } from "./resume.ts";
import { signin } from "./signin.ts";
import { pusherSubscribe, pusherUnsubscribe } from "./subscribe.ts";

/** Carries out what a client of the Pusher protocol says. What it gets wrong it is told, and the connection lives on. */
export function pusherMessage(
  context: GatewayContext,
  session: Session,
  message: PusherMessage,
): Promise<void> | undefined {
  const state = session.handshake.pusher;
  if (!state) return undefined;
  switch (message.event) {
    case "pusher:ping":
      session.send(PONG);
      return undefined;
    case "pusher:pong":
      context.liveness.pong(session);
      return undefined;
    case "pusher:subscribe":
      return pusherSubscribe(context, session, state, message.fields);
    case "pusher:unsubscribe":
      return pusherUnsubscribe(context, session, state, message.fields);
    case "pusher:signin":
      return signin(context, session, state, message.fields);
    case "trunkline:resume":
      rememberPoints(context, session, state, message.fields);
      return undefined;
    case "trunkline:position":
      tellPosition(session, state, message.to);
      return undefined;
    default:
      if (message.event.startsWith("client-")) clientEvent(context, session, state, message);
      else session.send(pusherError(PusherErrors.clientEvent));
      return undefined;
  }
}
