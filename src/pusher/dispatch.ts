import type { Session } from "../gateway/session/session.ts";
import { PusherErrors } from "../protocol/pusher/codes.ts";
import type { PusherMessage } from "../protocol/pusher/message.ts";
import { PONG, pusherError } from "../protocol/pusher/pusher.ts";
import { clientEvent } from "./client-event.ts";
import type { PusherContext } from "./context.ts";
import { rememberPoints, tellPosition } from "./resume.ts";
import { signin } from "./signin.ts";
import type { PusherState } from "./state.ts";
import { pusherSubscribe, pusherUnsubscribe } from "./subscribe.ts";

/** Carries out what a client says. @returns a promise when something must be read or asked first */
export function pusherMessage(
  context: PusherContext,
  session: Session,
  state: PusherState,
  message: PusherMessage,
): Promise<void> | undefined {
  const { tracing } = context;
  const { event } = message;
  if (tracing === undefined || UNTRACED.has(event)) return carryOut(context, session, state, message);
  const name = NAMES.get(event) ?? "event";
  const facts = { "rpc.system.name": "pusher", "rpc.method": name, "trunkline.client": session.client };
  return tracing.span({ name: `client ${name}`, kind: "server", facts }, () =>
    carryOut(context, session, state, message),
  );
}

/** What nobody looks for in a trace. */
const UNTRACED: ReadonlySet<string> = new Set(["pusher:ping", "pusher:pong"]);

/** The name of a span is one of few: events of clients have names of their own. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ["pusher:subscribe", "subscribe"],
  ["pusher:unsubscribe", "unsubscribe"],
  ["pusher:signin", "signin"],
  ["trunkline:resume", "resume"],
  ["trunkline:position", "position"],
]);

function carryOut(
  context: PusherContext,
  session: Session,
  state: PusherState,
  message: PusherMessage,
): Promise<void> | undefined {
  switch (message.event) {
    case "pusher:ping":
      session.send(PONG);
      return undefined;
    case "pusher:pong":
      session.ponged();
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
      else session.send(pusherError(PusherErrors.unknownEvent, message.to));
      return undefined;
  }
}
