import { z } from "zod";
import { inboxOf, MAX_CHANNEL_LENGTH } from "../core/channel.ts";
import { jsonFlaw, oneLine } from "../core/json-check.ts";
import { rawMember, rawMembers } from "../core/json-text.ts";
import { strictUtf8Decoder } from "../core/text.ts";
import { records } from "../shapes/records.ts";
import type { Identity, ServerSubscription, SubscriptionGrant, SubscriptionOverrides } from "./auth.ts";
import { compileCapabilities } from "./capabilities.ts";

/*
 * What tokens say, and what auth services answer, as the project's own types. Claim names and meaning are Centrifugo's
 * (https://centrifugal.dev/docs/server/authentication), and `device` is ours.
 */

/** A flaw of a token or of a service's answer. The message is for the log: it names the claim, never its value. */
export class ClaimError extends Error {
  override readonly name = "ClaimError";
}

/** Longest device name in UTF-16 units. */
const MAX_DEVICE_LENGTH = 128;

/** Latest date that can be said; JSON can say 1e999, which would never expire. */
const MAX_DATE = Number.MAX_SAFE_INTEGER;

/** Seconds since 1970. */
export const NumericDate = z.number().min(0).max(MAX_DATE);

const MAX_USER_LENGTH = MAX_CHANNEL_LENGTH - inboxOf("").length;

/** A user id, "" for anonymous: short and well-formed enough to have an inbox. */
export const User = z
  .string()
  .max(MAX_USER_LENGTH)
  .refine((id) => id.isWellFormed(), "malformed");

export const Device = z
  .string()
  .max(MAX_DEVICE_LENGTH)
  .refine((name) => name.isWellFormed(), "malformed");

const Flag = z.object({ value: z.boolean() }).nullish();

export const Override = z.object({
  presence: Flag,
  join_leave: Flag,
  force_recovery: Flag,
  force_positioning: Flag,
  force_push_join_leave: Flag,
});

/** The base64 of a JSON text, read. */
export const Base64Json = z.string().transform((text, context) => {
  try {
    const json = strictUtf8Decoder.decode(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)));
    if (jsonFlaw(json) === undefined) return json;
    throw new TypeError("cannot be carried");
  } catch {
    context.addIssue({ code: "custom", message: "not the base64 of a JSON text" });
    return z.NEVER;
  }
});

export const Subs = records(
  z.object({
    info: z.unknown().optional(),
    b64info: Base64Json.optional(),
    data: z.unknown().optional(),
    b64data: Base64Json.optional(),
    override: Override.nullish(),
  }),
);

export const Channels = z.array(z.string());

export const Caps = z
  .array(
    z.object({
      channels: z.array(z.string()),
      match: z.enum(["", "exact", "wildcard", "regex"]).default("exact"),
      allow: z.array(z.enum(["sub", "pub", "prs", "hst"])),
    }),
  )
  .transform((caps, context) => {
    try {
      return compileCapabilities(caps.map((cap) => ({ ...cap, match: cap.match || "exact" })));
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
      return z.NEVER;
    }
  });

const ConnectionClaims = z.object({
  // Absent as it is empty: nobody in particular, where that is allowed.
  sub: User.default(""),
  exp: NumericDate.optional(),
  iat: NumericDate.optional(),
  jti: z.string().optional(),
  info: z.unknown().optional(),
  b64info: Base64Json.optional(),
  channels: Channels.nullish(),
  subs: Subs.nullish(),
  caps: Caps.nullish(),
  meta: z.unknown().optional(),
  device: Device.optional(),
  expire_at: NumericDate.optional(),
  // Only subscription tokens name a channel: one that leaks must not open a connection.
  channel: z.never().optional(),
});

const SubscriptionClaims = z.object({
  sub: User.default(""),
  channel: z.string(),
  exp: NumericDate.optional(),
  info: z.unknown().optional(),
  b64info: Base64Json.optional(),
  override: Override.nullish(),
  expire_at: NumericDate.optional(),
});

/** Most tokens grant nothing beside who somebody is: they share this. */
const NOTHING = Object.freeze([]) as readonly never[];

/**
 * Reads the claims of a connection token whose signature, `exp` and `nbf` were checked.
 * @param text gives the payload's own text, from which infos are taken as they were written
 * @throws ClaimError
 */
export function readIdentity(payload: unknown, text: () => string): Identity {
  if (isPlain(payload)) {
    // Lives as long as the connection: with what is absent it would take half as much again.
    return {
      user: payload.sub,
      expiresAt: expiry(payload),
      subscriptions: NOTHING,
      capabilities: NOTHING,
      tokenId: payload.jti,
      issuedAt: payload.iat,
    };
  }
  const claims = parse(ConnectionClaims, payload);
  const texts = rawMembers(text());
  return {
    user: claims.sub,
    info: jsonText("info", claims.b64info ?? texts.get("info")),
    expiresAt: expiry(claims),
    subscriptions: serverSubscriptions(claims.channels, claims.subs, texts.get("subs")),
    capabilities: claims.caps ?? NOTHING,
    meta: jsonText("meta", texts.get("meta")),
    device: claims.device,
    tokenId: claims.jti,
    issuedAt: claims.iat,
  };
}

/** What says nothing beside who somebody is, and until when. */
const PLAIN_CLAIMS: ReadonlySet<string> = new Set(["sub", "exp", "iat", "nbf", "jti", "iss", "aud"]);

interface PlainClaims {
  readonly sub: string;
  readonly exp?: number;
  readonly iat?: number;
  readonly jti?: string;
}

/**
 * Whether claims are such that most tokens have no others, and well-formed: {@link ConnectionClaims} takes them for
 * what they are, in a twentieth of a connect. Whatever else there is, and every mistake, is for that to judge.
 */
function isPlain(payload: unknown): payload is PlainClaims {
  if (typeof payload !== "object" || payload === null) return false;
  for (const name in payload) if (!PLAIN_CLAIMS.has(name)) return false;
  const { sub, exp, iat, jti } = payload as Readonly<Record<string, unknown>>;
  return (
    typeof sub === "string" &&
    sub.length <= MAX_USER_LENGTH &&
    sub.isWellFormed() &&
    (exp === undefined || isDate(exp)) &&
    (iat === undefined || isDate(iat)) &&
    (jti === undefined || typeof jti === "string")
  );
}

function isDate(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && value <= MAX_DATE;
}

/** A subscription token's grant, and whom it is for. */
export interface ScopedGrant {
  readonly user: string;
  readonly channel: string;
  readonly grant: SubscriptionGrant;
  readonly expiresAt?: number;
}

/** As {@link readIdentity}, of a subscription token. @throws ClaimError */
export function readGrant(payload: unknown, text: () => string): ScopedGrant {
  const claims = parse(SubscriptionClaims, payload);
  const expiresAt = expiry(claims);
  const info = jsonText(
    "info",
    claims.b64info ?? (claims.info == null ? undefined : rawMember(text(), "info")),
  );
  return {
    user: claims.sub,
    channel: claims.channel,
    expiresAt,
    grant: { info, expiresAt, ...overrides(claims.override) },
  };
}

/** Checks a value's shape. @throws ClaimError naming the first member that is wrong, without its value */
export function parse<T>(shape: z.ZodType<T>, value: unknown): T {
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new ClaimError(`${String(issue?.path[0] ?? "claims")}: ${issue?.message}`);
}

/**
 * The subscriptions named by `channels` and `subs`, each channel once; `subs` says more and wins.
 * @param text of `subs` as it was written
 */
export function serverSubscriptions(
  channels: z.infer<typeof Channels> | null | undefined,
  subs: z.infer<typeof Subs> | null | undefined,
  text = "{}",
): readonly ServerSubscription[] {
  if (!channels && !subs) return NOTHING;
  const all = new Map<string, ServerSubscription>();
  for (const channel of channels ?? []) all.set(channel, { channel });
  const texts = rawMembers(text);
  for (const [channel, sub] of Object.entries(subs ?? {})) {
    const own = rawMembers(texts.get(channel) ?? "{}");
    all.set(channel, {
      channel,
      info: jsonText("subs", sub.b64info ?? own.get("info")),
      data: jsonText("subs", sub.b64data ?? own.get("data")),
      ...overrides(sub.override),
    });
  }
  return [...all.values()];
}

export function overrides(override: z.infer<typeof Override> | null | undefined): SubscriptionOverrides {
  if (!override) return {};
  return {
    presence: override.presence?.value,
    joinLeave: override.join_leave?.value,
    forceJoinLeave: override.force_push_join_leave?.value,
    recovery: override.force_recovery?.value,
    positioning: override.force_positioning?.value,
  };
}

/**
 * JSON text as it can be spliced into frames; `null` is as good as absent.
 * @param name for the error @throws ClaimError
 */
function jsonText(name: string, text: string | undefined): string | undefined {
  if (text === undefined || text === "null") return undefined;
  const flaw = jsonFlaw(text);
  if (flaw !== undefined) throw new ClaimError(`${name}: ${flaw}`);
  return oneLine(text);
}

/** `expire_at` replaces `exp` as the end of what the token grants; 0 means never. */
function expiry({ exp, expire_at }: { exp?: number; expire_at?: number }): number | undefined {
  const end = expire_at ?? exp;
  return end === undefined || (end === 0 && expire_at === 0) ? undefined : Math.floor(end);
}
