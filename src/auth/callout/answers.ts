import { z } from "zod";
import { CommandError, ConnectionError } from "../../core/errors.ts";
import { jsonFlaw, oneLine } from "../../core/json-check.ts";
import { rawMembers } from "../../core/json-text.ts";
import { utf8Encoder } from "../../core/text.ts";
import { records } from "../../shapes/records.ts";
import type { Identity, PublishDecision, Renewal, SubscriptionGrant } from "../auth.ts";
import {
  Base64Json,
  Caps,
  Channels,
  ClaimError,
  Device,
  NumericDate,
  Override,
  overrides,
  parse,
  Subs,
  serverSubscriptions,
  User,
} from "../claims.ts";

/*
 * What services answer, whichever way they were asked. A text is checked once, as a whole; its members are then carried
 * as they stand in it.
 */

/** A close frame holds 123 bytes of reason. */
const MAX_REASON_BYTES = 123;

/** Errors a service may answer with: the protocol's own, and those the protocol leaves to applications. */
const ErrorReply = z.object({
  code: z.number().int().min(100).max(1999),
  message: z.string().max(1_000).default(""),
  temporary: z.boolean().nullish(),
});

const DisconnectReply = z.object({
  code: z.number().int().min(3000).max(4999),
  reason: z
    .string()
    .refine((text) => utf8Encoder.encode(text).length <= MAX_REASON_BYTES, "too long")
    .default(""),
});

const RefusalReply = z.object({ error: ErrorReply.nullish(), disconnect: DisconnectReply.nullish() });
type Refusal = z.infer<typeof RefusalReply>;

/** Libraries write what is absent as an empty text. */
const none = (value: unknown) => (value === "" || value === null ? undefined : value);
const b64json = z.preprocess(none, Base64Json.optional());
const b64 = z.preprocess(none, z.base64().optional());
/** A wish that would change what is delivered, and that nobody here can grant: only its absence is taken. */
const notServed = z.unknown().refine((wish) => !wish || wish === "0", "not served here");

const ConnectAnswer = z.object({
  user: User,
  b64info: b64json,
  b64data: b64json,
  expireAt: NumericDate.nullish(),
  channels: Channels.nullish(),
  subs: records(z.object({ cache_recover: notServed.optional() })).nullish(),
  caps: Caps.nullish(),
  device: Device.nullish(),
});

const SubscribeAnswer = z.object({
  b64info: b64json,
  b64data: b64json,
  expireAt: NumericDate.nullish(),
  override: Override.nullish(),
  server_tags_filter: notServed.optional(),
});

const RefreshAnswer = z.object({
  b64info: b64json,
  expired: z.boolean().nullish(),
  expireAt: NumericDate.nullish(),
});

const PublishAnswer = z.object({
  b64data: b64,
  tags: records(z.string()).nullish(),
  idempotency_key: z.preprocess(
    none,
    z
      .string()
      .regex(/^[!-~]{1,128}$/, "not a key")
      .optional(),
  ),
  skip_history: notServed.optional(),
  version: notServed.optional(),
  version_epoch: notServed.optional(),
});

const RpcAnswer = z.object({ b64data: b64json });

/** An answer that is no refusal. */
export interface Answer {
  readonly value: Readonly<Record<string, unknown>>;
  /** Its members' texts. */
  readonly texts: ReadonlyMap<string, string>;
}

/** Reads `{user, info, …}`. @throws ClaimError; CommandError, ConnectionError: what the service decided */
export function readPlain(text: string): Answer {
  const value = readJson(text);
  refuse(parse(RefusalReply, value));
  return { value: value as Answer["value"], texts: rawMembers(text) };
}

/** Reads `{"result": {user, info, …}}`. @throws as above */
export function readResult(text: string): Answer {
  const value = readJson(text);
  refuse(parse(RefusalReply, value));
  const result = rawMembers(text).get("result");
  if (result === undefined || result === "null") {
    throw new ClaimError("an answer has a result, an error or a disconnect");
  }
  const found: unknown = JSON.parse(result);
  // PHP writes an object without members so.
  const empty = Array.isArray(found) && found.length === 0;
  const object = parse(records(z.unknown()), empty ? {} : found);
  const { expire_at: expireAt, ...rest } = object;
  return { value: { ...rest, expireAt }, texts: empty ? new Map() : rawMembers(result) };
}

export function identityOf({ value, texts }: Answer): Identity & { readonly data?: string } {
  const answer = parse(ConnectAnswer, value);
  const subs = parse(Subs.nullish(), value.subs);
  return {
    user: answer.user,
    info: answer.b64info ?? carried(texts.get("info")),
    expiresAt: dateOf(answer.expireAt),
    subscriptions: serverSubscriptions(answer.channels, subs, texts.get("subs")),
    capabilities: answer.caps ?? [],
    meta: carried(texts.get("meta")),
    device: answer.device ?? undefined,
    data: answer.b64data ?? carried(texts.get("data")),
  };
}

export function grantOf({ value, texts }: Answer): SubscriptionGrant & { readonly data?: string } {
  const answer = parse(SubscribeAnswer, value);
  return {
    info: answer.b64info ?? carried(texts.get("info")),
    expiresAt: dateOf(answer.expireAt),
    ...overrides(answer.override),
    data: answer.b64data ?? carried(texts.get("data")),
  };
}

/** @param nowMs Unix time: what expires before it has expired */
export function renewalOf({ value, texts }: Answer, nowMs: number): Renewal & { readonly meta?: string } {
  const answer = parse(RefreshAnswer, value);
  const expiresAt = dateOf(answer.expireAt);
  if (answer.expired || (expiresAt !== undefined && expiresAt * 1000 <= nowMs)) return { expired: true };
  const info = answer.b64info ?? carried(texts.get("info"));
  return { expired: false, expiresAt, info, meta: carried(texts.get("meta")) };
}

export function publishOf({ value, texts }: Answer): PublishDecision {
  const { b64data, tags, idempotency_key: id } = parse(PublishAnswer, value);
  const bytes = b64data === undefined ? undefined : Uint8Array.fromBase64(b64data);
  return { data: carried(texts.get("data")) ?? bytes, tags: tags ?? undefined, id };
}

export function rpcOf({ value, texts }: Answer): string {
  return parse(RpcAnswer, value).b64data ?? oneLine(texts.get("data") ?? "null");
}

function refuse({ error, disconnect }: Refusal): void {
  if (disconnect) throw new ConnectionError(disconnect, "by a service");
  if (!error) return;
  const { code, message, temporary } = error;
  throw new CommandError(temporary ? { code, message, temporary } : { code, message }, "by a service");
}

/** @throws ClaimError */
function readJson(text: string): unknown {
  const flaw = jsonFlaw(text);
  if (flaw !== undefined) throw new ClaimError(`reply is ${flaw}`);
  return JSON.parse(text);
}

/** A member as it is spliced into frames; `null` is as good as absent. */
function carried(text: string | undefined): string | undefined {
  return text === undefined || text === "null" ? undefined : oneLine(text);
}

function dateOf(date: number | null | undefined): number | undefined {
  return date ? Math.floor(date) : undefined;
}
