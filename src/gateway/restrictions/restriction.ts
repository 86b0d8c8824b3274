import { createHash } from "node:crypto";
import { z } from "zod";
import { CommandError, Errors } from "../../core/errors.ts";

/** Longest time a right can be taken for, s. */
const MAX_RESTRICTION_S = 90 * 86_400;
/** How long one lasts whose request does not say, s. */
const DEFAULT_RESTRICTION_S = 86_400;

const name = z.string().min(1).max(512);
const seconds = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Whom it is about, and what of. */
const targets = {
  /** One token, by its `jti`. */
  token: z.object({ kind: z.literal("token"), token: name }),
  /** Tokens issued before a time, Unix seconds: a user's, or everybody's. */
  issued: z.object({ kind: z.literal("issued"), user: name.optional(), before: seconds }),
  /** A user in one channel. */
  channel: z.object({ kind: z.literal("channel"), user: name, channel: name }),
  user: z.object({ kind: z.literal("user"), user: name }),
  /** An address, or a range in CIDR notation. */
  address: z.object({ kind: z.literal("address"), address: z.string().min(2).max(64) }),
} as const;

const common = {
  reason: z.string().max(200).optional(),
  /** When it was made, Unix ms. */
  timeMs: z.int().min(0),
};

/** A right that was taken back, as every instance keeps it. */
export const restrictionShape = z.discriminatedUnion("kind", [
  targets.token.extend(common),
  targets.issued.extend(common),
  targets.channel.extend(common),
  targets.user.extend(common),
  targets.address.extend(common),
]);

export type Restriction = z.infer<typeof restrictionShape>;

/** A restriction that stands, with its name and its end (Unix seconds). */
export type StandingRestriction = Restriction & { readonly id: string; readonly expireAt: number };

const lasting = {
  expire_at: seconds
    .optional()
    .describe("Unix seconds when it ends, at most 90 days ahead. Default: in 24 hours."),
  reason: common.reason.describe("Why, for the audit."),
};
const user = name.optional().describe("Id of the user.");
const address = z.string().optional().describe("An address, or a range such as `192.0.2.0/24`.");

/** What the server API, control signals and the command line ask for. */
export const restrictionRequests = {
  /** One of `token_id`, `user` with `channel`, `user` and `issued_before` or one of them. */
  revoke: z.strictObject({
    token_id: name.optional().describe("The token's `jti`."),
    user,
    channel: name.optional().describe("Name of a channel that the user must leave."),
    issued_before: seconds.optional().describe("Unix seconds: tokens issued before. Default: up to now."),
    ...lasting,
  }),
  block: z.strictObject({ user, address, ...lasting }),
  unblock: z.strictObject({
    ...{ user, address },
    id: name.optional().describe("Its `id`, as `restrictions` shows it."),
  }),
  restrictions: z.strictObject({}),
} as const;

export type RestrictionMethod = keyof typeof restrictionRequests;

type RevokeRequest = z.infer<typeof restrictionRequests.revoke>;
type BlockRequest = z.infer<typeof restrictionRequests.block>;

/** What a revocation takes back. @throws CommandError badRequest */
export function revocationOf(request: RevokeRequest, nowMs = Date.now()): Restriction {
  const { token_id: token, user, channel, issued_before: before, reason } = request;
  const more = { timeMs: nowMs, ...(reason !== undefined && { reason }) };
  const others = [user, channel, before].some((value) => value !== undefined);
  if (token !== undefined && !others) return { kind: "token", token, ...more };
  if (token === undefined && channel !== undefined && user !== undefined && before === undefined) {
    return { kind: "channel", user, channel, ...more };
  }
  if (token === undefined && channel === undefined && (user !== undefined || before !== undefined)) {
    // Tokens say the second they were issued in: those of this very second are meant, too.
    return {
      kind: "issued",
      before: before ?? Math.ceil((nowMs + 1) / 1_000),
      ...(user && { user }),
      ...more,
    };
  }
  throw new CommandError(Errors.badRequest, "token_id, or user with channel, or user and/or issued_before");
}

/** What a block is about. @throws CommandError badRequest */
export function blockOf(
  { user, address, reason }: Omit<BlockRequest, "expire_at">,
  nowMs = Date.now(),
): Restriction {
  const more = { timeMs: nowMs, ...(reason !== undefined && { reason }) };
  if (user !== undefined && address === undefined) return { kind: "user", user, ...more };
  if (user === undefined && address !== undefined) return { kind: "address", address, ...more };
  throw new CommandError(Errors.badRequest, "user or address");
}

/** When it ends, Unix ms. @throws CommandError badRequest: in the past, or too far ahead */
export function endOf(expireAt: number | undefined, nowMs = Date.now()): number {
  const end = expireAt === undefined ? nowMs + DEFAULT_RESTRICTION_S * 1_000 : expireAt * 1_000;
  if (end > nowMs && end <= nowMs + MAX_RESTRICTION_S * 1_000 + 1_000) return end;
  throw new CommandError(Errors.badRequest, "expire_at is past, or more than 90 days ahead");
}

/** What a restriction is kept under: one target has one, and a newer one takes its place. */
export function restrictionId(restriction: Restriction): string {
  const { timeMs: _time, reason: _reason, ...target } = restriction;
  const parts = target.kind === "issued" ? { kind: target.kind, user: target.user } : target;
  const text = JSON.stringify(Object.entries(parts).sort());
  return `${target.kind}-${createHash("sha256").update(text).digest("base64url").slice(0, 22)}`;
}
