import type { Permission } from "../auth/auth.ts";
import type { ChannelName } from "../core/channel.ts";
import { CommandError, Errors } from "../core/errors.ts";
import type { NamespaceRules } from "../core/namespace.ts";
import type { Publication } from "../core/publication.ts";
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
  const key = quotaKey(session);
  const reader = {
    ...{ client: session.client, quotaKey: key },
    get live() {
      return session.live;
    },
  };
  const query = {
    ...(command.since && { since: command.since }),
    limit: command.limit < 0 ? most : Math.min(command.limit, most),
    ...(command.reverse && { reverse: true }),
  };
  // What would not be sent is not read either.
  context.quotas.answering(session);
  // A page may be shorter than asked: the client asks on from its end.
  await context.reads.page(reader, name, query, async ({ publications, position }) => {
    const length = lengthOf(publications);
    context.quotas.answered(session, length);
    // Put together when its turn comes: what waits is the page, which those who asked together share.
    await context.answers.send(session, key, length, () =>
      session.codec.history(command.id, publications, position),
    );
  });
}

/** Of an answer beside the bodies, bytes: names of members, offset, time, who published it. */
const BESIDE_BODY = 160;

/** About how many bytes an answer with these has. */
function lengthOf(publications: readonly Publication[]): number {
  return publications.reduce((sum, { data }) => sum + data.length + BESIDE_BODY, 0);
}
