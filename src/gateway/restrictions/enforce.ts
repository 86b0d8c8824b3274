import type { Entry } from "../../broker/broker.ts";
import { CommandError, Errors, Unsubscribes } from "../../core/errors.ts";
import { unreachable } from "../../core/unreachable.ts";
import type { GatewayContext } from "../context.ts";
import { isNetwork } from "../instance/address-set.ts";
import type { Actor } from "../oversight.ts";
import type { Session } from "../session/session.ts";
import { revoke } from "../subscribe/attach.ts";
import {
  blockOf,
  endOf,
  type Restriction,
  type RestrictionMethod,
  restrictionId,
  restrictionRequests,
  revocationOf,
  type StandingRestriction,
} from "./restriction.ts";
import { entryKey } from "./table.ts";

/** Takes an entry of the broker in, and ends what it forbids here. */
export function onEntry(context: GatewayContext, entry: Entry): void {
  const restriction = context.restrictions.apply(entry);
  if (restriction === "malformed") context.log.warn("a malformed restriction is ignored", { key: entry.key });
  else if (restriction) enforce(context, restriction);
}

/** Ends the sessions and subscriptions of this instance that a restriction forbids. */
function enforce(context: GatewayContext, restriction: StandingRestriction): void {
  const { hub, restrictions } = context;
  if (restriction.kind === "channel") {
    for (const session of hub.sessionsOf(restriction.user)) {
      const sub = session.subs.get(restriction.channel);
      if (sub) revoke(context, session, sub, Unsubscribes.permissionDenied);
    }
    return;
  }
  const user = "user" in restriction ? restriction.user : undefined;
  const sessions: Iterable<Session> = user === undefined ? [...hub.sessions.values()] : hub.sessionsOf(user);
  for (const session of sessions) {
    const close = restrictions.closes(session.identity, session.handshake.ip);
    if (close && session.live) session.close(close);
  }
}

/**
 * Carries out a request of the server API, of a service or of an operator. @param actor who asked
 * @returns the JSON of its result @throws CommandError
 */
export async function restrict(
  context: GatewayContext,
  method: RestrictionMethod,
  params: unknown,
  actor: Actor,
): Promise<object> {
  const shape = restrictionRequests[method];
  const parsed = shape.safeParse(params);
  if (!parsed.success) throw new CommandError(Errors.badRequest, `malformed ${method}`);
  switch (method) {
    case "restrictions":
      return { restrictions: context.restrictions.list().map(shown) };
    case "unblock":
      return await lift(context, restrictionRequests.unblock.parse(params), actor);
    case "block":
    case "revoke": {
      const { expire_at: expireAt, ...target } = restrictionRequests[method].parse(params);
      const restriction = method === "block" ? blockOf(target) : revocationOf(target);
      return await impose(context, restriction, expireAt, actor);
    }
    default:
      return unreachable(method);
  }
}

async function impose(
  context: GatewayContext,
  restriction: Restriction,
  expireAt: number | undefined,
  actor: Actor,
): Promise<object> {
  if (restriction.kind === "address" && !isNetwork(restriction.address)) {
    throw new CommandError(Errors.badRequest, "address is neither an address nor a range");
  }
  if (restriction.kind === "channel") context.hub.resolve(restriction.channel);
  const end = endOf(expireAt);
  const id = restrictionId(restriction);
  await context.broker.putEntry({ key: entryKey(id), value: restriction, expiresAtMs: end });
  const standing = { ...restriction, id, expireAt: Math.floor(end / 1_000) };
  audit(context, "restricted", standing, actor);
  return { id, expire_at: standing.expireAt };
}

async function lift(
  context: GatewayContext,
  { user, address, id }: { user?: string | undefined; address?: string | undefined; id?: string | undefined },
  actor: Actor,
): Promise<object> {
  if ([user, address, id].filter((one) => one !== undefined).length !== 1) {
    throw new CommandError(Errors.badRequest, "user, address or id");
  }
  const key = id ?? restrictionId(blockOf({ user, address }));
  const standing = context.restrictions.get(key);
  // Put even when unknown here: another instance may know it, and this one not yet.
  await context.broker.putEntry({ key: entryKey(key), value: undefined, expiresAtMs: 0 });
  if (standing) audit(context, "lifted", standing, actor);
  return { lifted: standing !== undefined };
}

function audit(
  context: GatewayContext,
  action: "restricted" | "lifted",
  restriction: StandingRestriction,
  actor: Actor,
): void {
  const { timeMs: _, id: target, ...rest } = restriction;
  context.events.audited({ action, target, ...rest, ...actor });
  context.log.info("audit", { action, kind: restriction.kind, target, ...actor });
}

/** A restriction as the API shows it. */
function shown({ kind, id, expireAt, timeMs, reason, ...target }: StandingRestriction): object {
  const { before, token, ...rest } = target as { before?: number; token?: string };
  return {
    ...{ id, kind, ...rest },
    ...(token !== undefined && { token_id: token }),
    ...(before !== undefined && { issued_before: before }),
    ...{ expire_at: expireAt, created_at: Math.floor(timeMs / 1_000) },
    ...(reason !== undefined && { reason }),
  };
}

/** Answers `rtctl.revoke`, `.block`, `.unblock` and `.restrictions`: one instance for all. Returns the ends of it. */
export function serveRestrictions(context: GatewayContext): (() => void)[] {
  return (Object.keys(restrictionRequests) as RestrictionMethod[]).map((method) =>
    context.broker.serve("control", method, async (body) =>
      JSON.stringify(await restrict(context, method, parsedRequest(body), { via: "nats" })),
    ),
  );
}

/** The parameters of a request; without a body there are none. @throws CommandError badRequest */
export function parsedRequest(body: string): unknown {
  if (body === "") return {};
  try {
    return JSON.parse(body);
  } catch {
    throw new CommandError(Errors.badRequest, "not JSON");
  }
}
