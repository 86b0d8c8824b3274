import type { Logger } from "../../core/log.ts";
import { readTraceContext, traceField } from "../../core/trace-context.ts";
import type { Session } from "./session.ts";

/** A logger whose lines say whose connection they are about. Costs two objects: to be made where there is something to say. */
export function logOf(log: Logger, { client, user, handshake }: Session): Logger {
  return log.with({
    client,
    ...(user !== "" && { user }),
    transport: handshake.transport ?? "websocket",
    ...traceField(readTraceContext(handshake.headers?.traceparent)),
  });
}
