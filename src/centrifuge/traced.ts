import { readTraceContext, type TraceContext } from "../core/trace-context.ts";
import { fromHeaders, type SpanFacts, type Tracing } from "../core/tracing.ts";
import type { CentrifugeCommand } from "../protocol/centrifuge/command.ts";
import type { CentrifugeSession } from "./session.ts";

/** What clients sent along with their connects: the work that they connected for. Few send anything. */
const connectedFor = new WeakMap<CentrifugeSession, TraceContext>();

/** Does what a command asks for within a span. */
export function traced<T>(
  tracing: Tracing,
  session: CentrifugeSession,
  command: CentrifugeCommand,
  work: () => T,
): T {
  const { method } = command;
  if (method === "pong" || method === "refused") return work();
  const from = command.method === "connect" ? fromConnect(tracing, session, command.headers) : undefined;
  // A command has no place for a context of its own: what its connection is for is a link.
  const context = from ? undefined : connectedFor.get(session);
  const start = {
    name: `client ${method}`,
    kind: "server",
    from,
    ...(context && { links: [context] }),
    facts: factsOf(session, command),
  } as const;
  return tracing.span(start, work);
}

/** The headers of the connect command, which also browsers can set, or those of the request. */
function fromConnect(
  tracing: Tracing,
  session: CentrifugeSession,
  given: Readonly<Record<string, string>>,
): ReturnType<typeof fromHeaders> {
  const request = session.handshake.headers ?? {};
  const headers = readTraceContext(given.traceparent) ? given : request;
  const from = fromHeaders(tracing, "client", (name) => headers[name]);
  if (from) connectedFor.set(session, from.context);
  return from;
}

function factsOf({ client, handshake, codec }: CentrifugeSession, command: CentrifugeCommand): SpanFacts {
  return {
    "rpc.system.name": "centrifuge",
    "rpc.method": command.method,
    "network.transport": handshake.transport ?? "websocket",
    "trunkline.client": client,
    "trunkline.protocol": codec.name,
    "trunkline.channel": "channel" in command ? command.channel : undefined,
    "trunkline.rpc": command.method === "rpc" ? command.rpcMethod : undefined,
  };
}
