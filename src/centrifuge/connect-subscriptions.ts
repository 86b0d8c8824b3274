import type { ServerSubscription } from "../auth/auth.ts";
import { CommandError, Errors } from "../core/errors.ts";
import type { GatewayContext } from "../gateway/context.ts";
import { mayAccess } from "../gateway/subscribe/access.ts";
import type { ConnectCommand } from "../protocol/centrifuge/command.ts";
import type { CentrifugeSession } from "./session.ts";
import { authorize } from "./subscribe.ts";

/** A subscription that begins with the connection. */
export interface WantedSubscription extends ServerSubscription {
  /** Unix seconds; absent: never. */
  readonly expiresAt?: number;
}

/**
 * Adds the subscriptions that a one-way client asks for in its connect, by the rules of the subscribe command. One that
 * may not be had fails all: nobody would tell the client of it.
 * @throws CommandError, ConnectionError
 */
export async function addClientSubscriptions(
  context: GatewayContext,
  session: CentrifugeSession,
  command: ConnectCommand,
  wanted: Map<string, WantedSubscription>,
): Promise<void> {
  for (const [channel, { token = "" }] of command.subs) {
    if (wanted.size > context.options.channels) return; // the caller counts and refuses them
    if (wanted.has(channel)) continue;
    const name = context.hub.resolve(channel);
    const rules = context.hub.rules(name);
    if (token !== "" || rules.subscribeCallout !== false) {
      const grant = await authorize(context, session, { token, data: command.data }, name);
      wanted.set(channel, { ...grant, channel });
    } else if (mayAccess(context, session, name, "sub")) {
      wanted.set(channel, { channel });
    } else throw new CommandError(Errors.permissionDenied);
  }
}
