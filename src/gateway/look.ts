import { CommandError } from "../core/errors.ts";
import type { Publication } from "../core/publication.ts";
import type { GatewayContext } from "./context.ts";
import { type Inspected, type InspectRequest, inspectedShape } from "./instance/inspect.ts";
import type { ChannelLook, Place, UserLook } from "./look-shapes.ts";
import { survey } from "./survey.ts";

/** What all instances know of a user, a channel, or both. */
export async function askInspected(
  context: GatewayContext,
  request: InspectRequest,
): Promise<{ instances: Inspected[]; missing: Place[]; partial: boolean }> {
  const { answers: instances, known, partial } = await survey(context, "inspect", request, inspectedShape);
  const answered = new Set(instances.map(({ instance }) => instance));
  const missing = known.filter(({ instance }) => !answered.has(instance));
  return {
    ...{ instances, partial },
    missing: missing.map(({ instance, region }) => ({ instance, region })),
  };
}

/** Whether a user is kept out as a whole. */
export function isBlocked({ restrictions }: GatewayContext, user: string): boolean {
  return restrictions.closes({ user, issuedAt: Number.POSITIVE_INFINITY }, "") !== undefined;
}

/** Where a user is connected, with what, to which channels; and what was refused to it. */
export async function lookAtUser(context: GatewayContext, user: string): Promise<UserLook> {
  const { instances, partial } = await askInspected(context, { user, subscriptions: true });
  const placed = <T>(of: (one: Inspected) => readonly T[]) =>
    instances.flatMap((one) => {
      const { instance, region } = one;
      return of(one).map((item) => ({ ...item, instance, region }));
    });
  const own = placed(({ troubles }) => troubles).filter((trouble) => trouble.user === user);
  return {
    user,
    blocked: isBlocked(context, user),
    connections: placed(({ connections }) => connections),
    troubles: own.sort((one, other) => other.atMs - one.atMs),
    partial,
  };
}

/** Who is subscribed to a channel, where its end is, what is kept, and under which rules. @throws CommandError: no such channel */
export async function lookAtChannel(context: GatewayContext, id: string): Promise<ChannelLook> {
  const name = context.hub.resolve(id);
  const settings = context.hub.rules(name);
  const [{ instances, partial }, kept, presence] = await Promise.all([
    askInspected(context, { channel: id }),
    settings.history ? keptOf(context, id) : {},
    settings.presence ? context.presence.stats(id) : undefined,
  ]);
  const following = instances.flatMap(({ instance, region, channel }) =>
    channel ? [{ instance, region, ...channel }] : [],
  );
  return {
    ...{ channel: id, settings },
    subscribers: following.reduce((sum, { subscribers }) => sum + subscribers, 0),
    instances: following,
    ...(presence && { presence }),
    ...kept,
    partial,
  };
}

async function keptOf(
  { hub, reads }: GatewayContext,
  id: string,
): Promise<Pick<ChannelLook, "position" | "oldest" | "newest" | "failure">> {
  const name = hub.resolve(id);
  try {
    const [last, first] = await Promise.all([
      reads.apiPage(name, { limit: 1, reverse: true }),
      reads.apiPage(name, { limit: 1 }),
    ]);
    const [newest, oldest] = [last.publications[0], first.publications[0]];
    return {
      position: last.position,
      ...(oldest && { oldest: shownMessage(oldest) }),
      ...(newest && { newest: shownMessage(newest) }),
    };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { failure: error.error.message };
  }
}

function shownMessage({ offset, timeMs, data, info, priority }: Publication) {
  return {
    ...{ offset, atMs: timeMs, bytes: Buffer.byteLength(data) },
    ...(info && info.user !== "" && { user: info.user }),
    ...(priority && { priority }),
  };
}
