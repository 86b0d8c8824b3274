import type { Asker } from "../auth/auth.ts";
import type { GatewayContext } from "../gateway/context.ts";
import type { Session } from "../gateway/session/session.ts";
import type { CentrifugeSession } from "./session.ts";

/** Headers of connect commands that some endpoint is to see later, too: few connections have any. */
const emulated = new WeakMap<Session, Readonly<Record<string, string>>>();

/** Names and values that HTTP can carry (RFC 9110 §5.5). */
const VALUE = /^[\t\x20-\x7e\x80-\xff]{0,8192}$/;

/** Keeps what some endpoint is to see of the headers in a client's connect command. */
export function keepEmulated(
  context: GatewayContext,
  session: CentrifugeSession,
  headers: Readonly<Record<string, string>>,
): void {
  const { emulatedHeaders: wanted } = context.options;
  if (wanted.length === 0) return;
  const kept: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(headers)) {
    const known = name.toLowerCase();
    if (wanted.includes(known) && VALUE.test(value)) kept[known] = value;
  }
  if (Object.keys(kept).length > 0) emulated.set(session, kept);
}

/** Who asks, for a service. */
export function askerOf(session: CentrifugeSession): Asker {
  const { client, user, identity, handshake, codec } = session;
  return {
    client,
    user,
    protocol: codec.name,
    transport: handshake.transport ?? "websocket",
    ip: handshake.ip,
    meta: identity.meta,
    headers: handshake.headers,
    emulated: emulated.get(session),
  };
}
