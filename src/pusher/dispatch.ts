import type { Session } from "../gateway/session/session.ts";
import { PusherErrors } from "../protocol/pusher/codes.ts";
import type { PusherMessage } from "../protocol/pusher/message.ts";
import { PONG, pusherError } from "../protocol/pusher/pusher.ts";
import { clientEvent } from "./client-event.ts";
import type { PusherContext } from "./context.ts";
import { countError, type Failure } from "./failures.ts";
import { rememberPoints, tellPosition } from "./resume.ts";
import { signin } from "./signin.ts";
import type { PusherState } from "./state.ts";
import { pusherSubscribe, pusherUnsubscribe } from "./subscribe.ts";

/** Events that are a label of their own: clients name theirs as they like. */
const METHODS: ReadonlySet<string> = new Set([
  ...["pusher:ping", "pusher:pong", "pusher:subscribe", "pusher:unsubscribe", "pusher:signin"],
  ...["trunkline:resume", "trunkline:position"],
]);

/** What a message is counted under. */
export function methodOf({ event }: PusherMessage): string {
  if (METHODS.has(event)) return event;
  return event.startsWith("client-") ? "client_event" : "unknown";
}

/**
 * Carries out what a client says. @returns a promise when something must be read or asked first; what a failure is counted
 * under, when the client was told of it
 */
export function pusherMessage(
  context: PusherContext,
  session: Session,
  state: PusherState,
  message: PusherMessage,
): Promise<Failure> | Failure {
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
): Promise<Failure> | Failure {
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
      return pusherUnsubscribe(context, session, state, message.fields)?.then(() => undefined);
    case "pusher:signin":
      return signin(context, session, state, message.fields);
    case "trunkline:resume":
      rememberPoints(context, session, state, message.fields);
      return undefined;
    case "trunkline:position":
      tellPosition(session, state, message.to);
      return undefined;
    default:
      if (message.event.startsWith("client-")) return clientEvent(context, session, state, message);
      session.send(pusherError(PusherErrors.unknownEvent, message.to));
      return countError(context.stats, PusherErrors.unknownEvent.code);
  }
}
