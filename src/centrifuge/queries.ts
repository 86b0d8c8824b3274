import type { Permission } from "../auth/auth.ts";
import type { ChannelName } from "../core/channel.ts";
import { CommandError, Errors } from "../core/errors.ts";
import type { NamespaceRules } from "../core/namespace.ts";
import type { GatewayContext } from "../gateway/context.ts";
import { quotaKey } from "../gateway/session/quota-key.ts";
import { mayAccess } from "../gateway/subscribe/access.ts";
import type { HistoryCommand } from "../protocol/centrifuge/command.ts";
import type { CentrifugeSession } from "./session.ts";

/** Resolves a channel a client asks about. @throws CommandError notAvailable, permissionDenied */
function permitted(
  context: GatewayContext,
  session: CentrifugeSession,
  id: string,
  permission: Permission,
  available: (rules: NamespaceRules) => boolean,
): ChannelName {
  const name = context.hub.resolve(id);
  const rules = context.hub.rules(name);
  if (!available(rules)) throw new CommandError(Errors.notAvailable);
  if (!mayAccess(context, session, name, permission)) {
    throw new CommandError(Errors.permissionDenied);
  }
  return name;
}

export async function presence(
  context: GatewayContext,
  session: CentrifugeSession,
  id: number,
  channel: string,
): Promise<void> {
  const name = permitted(context, session, channel, "prs", (rules) => rules.presence);
  await session.subs.get(channel)?.joined; // who asks sees itself
  const { codec } = session;
  const list = await context.members.list(name);
  const members = list.encoded(codec.members);
  context.quotas.answer(session, members.length);
  await context.answers.send(session, quotaKey(session), members.length, () => codec.presence(id, members));
}

export async function presenceStats(
  context: GatewayContext,
  session: CentrifugeSession,
  id: number,
  channel: string,
): Promise<void> {
  permitted(context, session, channel, "prs", (rules) => rules.presence);
  await session.subs.get(channel)?.joined;
  const { clients, users } = await context.presence.stats(channel);
  session.send(session.codec.presenceStats(id, clients, users));
}

export async function history(
  context: GatewayContext,
  session: CentrifugeSession,
  command: HistoryCommand,
): Promise<void> {
  const name = permitted(context, session, command.channel, "hst", (rules) => rules.history !== null);
  const most = context.hub.rules(name).history?.recoverLimit ?? 0;
  const reader = { client: session.client, quotaKey: quotaKey(session) };
  // A page may be shorter than asked: the client asks on from its end.
  const page = await context.reads.page(reader, name, {
    ...(command.since && { since: command.since }),
    limit: command.limit < 0 ? most : Math.min(command.limit, most),
    ...(command.reverse && { reverse: true }),
  });
  const answer = session.codec.history(command.id, page.publications, page.position);
  context.quotas.answer(session, answer.length);
  await context.answers.send(session, reader.quotaKey, answer.length, () => answer);
}
