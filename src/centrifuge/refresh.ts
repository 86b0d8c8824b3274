import { Closes, CommandError, ConnectionError, Errors } from "../core/errors.ts";
import type { GatewayContext } from "../gateway/context.ts";
import type { RefreshCommand, SubRefreshCommand } from "../protocol/centrifuge/command.ts";
import { secondsLeft } from "./position.ts";
import type { CentrifugeSession } from "./session.ts";

/** A new connection token on a live connection. It must be the same user's. */
export async function refresh(
  context: GatewayContext,
  session: CentrifugeSession,
  command: RefreshCommand,
): Promise<void> {
  if (command.token === "") throw new ConnectionError(Closes.badRequest, "refresh without a token");
  const identity = await context.authenticator.connection(command.token);
  if (identity.user !== session.user) throw new ConnectionError(Closes.invalidToken, "token of another user");
  context.restrictions.check(identity, session.handshake.ip);
  if (!session.live) return;
  const ttl = secondsLeft(identity.expiresAt ?? 0);
  session.identify({ ...session.identity, ...identity, device: session.identity.device });
  session.expireAt(identity.expiresAt ?? 0);
  context.liveness.reschedule(session);
  session.send(session.codec.refresh(command.id, session.client, context.version, ttl));
}

/** A new token for one subscription. */
export async function subRefresh(
  context: GatewayContext,
  session: CentrifugeSession,
  command: SubRefreshCommand,
): Promise<void> {
  if (command.channel === "" || command.token === "") {
    throw new ConnectionError(Closes.badRequest, "sub_refresh without channel or token");
  }
  const sub = session.subs.get(command.channel);
  if (!sub) throw new CommandError(Errors.permissionDenied, "not subscribed");
  const grant = await context.authenticator.subscription(command.token, command.channel, session.user);
  if (!session.live) return;
  const ttl = secondsLeft(grant.expiresAt ?? 0);
  session.subs.expireAt(sub, grant.expiresAt);
  context.liveness.reschedule(session);
  session.send(session.codec.subRefresh(command.id, ttl));
}
