import type { Logger } from "../../core/log.ts";
import { traceField } from "../../core/trace-id.ts";
import type { Session } from "./session.ts";

/** A logger whose lines say whose connection they are about. Costs two objects: to be made where there is something to say. */
export function logOf(log: Logger, { client, user, handshake }: Session): Logger {
  return log.with({
    client,
    ...(user !== "" && { user }),
    transport: handshake.transport ?? "websocket",
    ...traceField(handshake.headers?.traceparent),
  });
}
