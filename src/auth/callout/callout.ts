import { z } from "zod";
import { CommandError, ConnectionError, Errors } from "../../core/errors.ts";
import { jsonFlaw } from "../../core/json-check.ts";
import { rawMembers } from "../../core/json-text.ts";
import type { Logger } from "../../core/log.ts";
import { utf8Encoder } from "../../core/text.ts";
import type {
  Callouts,
  ConnectQuestion,
  Identity,
  PublishQuestion,
  SubscribeQuestion,
  SubscriptionGrant,
} from "../auth.ts";
import {
  Caps,
  Channels,
  ClaimError,
  Device,
  jsonText,
  NumericDate,
  Override,
  overrides,
  parse,
  Subs,
  serverSubscriptions,
  User,
} from "../claims.ts";

/**
 * Sends one request to whoever serves `rtauth.<name>`, and returns the reply's text, or the error the service framework
 * reported. Rejects with CommandError when there is no answer.
 */
export type AuthRequest = (
  name: "connect" | "subscribe" | "publish",
  body: string,
) => Promise<{
  readonly data: string;
  readonly error?: { readonly code: number; readonly message: string };
}>;

/** Least time between two log lines about failing callouts, ms: a storm of clients must not become one of lines. */
const LOG_INTERVAL_MS = 1_000;

/** A close frame holds 123 bytes of reason. */
const MAX_REASON_BYTES = 123;

/** Errors a service may answer with: the protocol's own, and those the protocol leaves to applications. */
const ErrorReply = z.object({
  code: z.number().int().min(100).max(1999),
  message: z.string().max(1_000).default(""),
  temporary: z.boolean().optional(),
});

const DisconnectReply = z.object({
  code: z.number().int().min(3000).max(4999),
  reason: z
    .string()
    .refine((text) => utf8Encoder.encode(text).length <= MAX_REASON_BYTES, "too long")
    .default(""),
});

const Refusal = { error: ErrorReply.nullish(), disconnect: DisconnectReply.nullish() };

const RefusalReply = z.object(Refusal);

const ConnectReply = z.object({
  user: User,
  info: z.unknown().optional(),
  expireAt: NumericDate.nullish(),
  channels: Channels.nullish(),
  subs: Subs.nullish(),
  caps: Caps.nullish(),
  meta: z.unknown().optional(),
  device: Device.nullish(),
});

const SubscribeReply = z.object({
  info: z.unknown().optional(),
  expireAt: NumericDate.nullish(),
  override: Override.nullish(),
});

const PublishReply = z.object({});

export interface CalloutOptions {
  readonly request: AuthRequest;
  readonly log: Logger;
  /** Unix time, ms. */
  readonly now?: () => number;
}

/**
 * Asks services over NATS who somebody is and what they may do. The service answers with JSON:
 *
 * - `rtauth.connect`: `{user, info?, expireAt?, channels?, subs?, caps?, meta?, device?, data?}`
 * - `rtauth.subscribe`: `{info?, data?, expireAt?, override?}`
 * - `rtauth.publish`: `{data?}`, which replaces what was published
 * - any of them: `{error: {code, message, temporary?}}` or `{disconnect: {code, reason}}`
 *
 * `channels`, `subs`, `caps` and `override` are as in tokens, `expireAt` is in Unix seconds (0 or absent: never).
 *
 * Every method throws CommandError or ConnectionError with what the service decided; CommandError internal (100,
 * temporary) when there is no service, no answer in time, or one that is malformed: nobody gets in by a failure, and
 * clients come back.
 */
export function authCallout(options: CalloutOptions): Callouts {
  return new AuthCallout(options);
}

class AuthCallout implements Callouts {
  readonly #options: Required<CalloutOptions>;
  #loggedAtMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;

  constructor(options: CalloutOptions) {
    this.#options = { ...options, now: options.now ?? Date.now };
  }

  async connect({ data, ...question }: ConnectQuestion): Promise<Identity & { readonly data?: string }> {
    const body = jsonObject(question, { data });
    const { answer, data: reply, texts } = await this.#ask("connect", body, ConnectReply);
    return {
      user: answer.user,
      info: jsonText("info", texts.get("info")),
      expiresAt: answer.expireAt ? Math.floor(answer.expireAt) : undefined,
      subscriptions: serverSubscriptions(answer.channels, answer.subs, texts.get("subs")),
      capabilities: answer.caps ?? [],
      meta: jsonText("meta", texts.get("meta")),
      device: answer.device ?? undefined,
      data: reply,
    };
  }

  async subscribe({
    data,
    meta,
    ...question
  }: SubscribeQuestion): Promise<SubscriptionGrant & { readonly data?: string }> {
    const body = jsonObject(question, { data, meta });
    const { answer, data: reply, texts } = await this.#ask("subscribe", body, SubscribeReply);
    return {
      info: jsonText("info", texts.get("info")),
      expiresAt: answer.expireAt ? Math.floor(answer.expireAt) : undefined,
      ...overrides(answer.override),
      data: reply,
    };
  }

  async publish({ data, meta, ...question }: PublishQuestion): Promise<{ readonly data?: string }> {
    const { data: reply } = await this.#ask("publish", jsonObject(question, { data, meta }), PublishReply);
    return { data: reply };
  }

  async #ask<T>(name: Parameters<AuthRequest>[0], body: string, shape: z.ZodType<T>) {
    const reply = await this.#options.request(name, body).catch((error: unknown) => {
      this.#report(name, error instanceof Error ? error.message : "no answer");
      throw isPassedOn(error) ? error : new CommandError(Errors.internal, `rtauth.${name} not answered`);
    });
    let refusal: z.infer<typeof RefusalReply>;
    let answer: T | undefined;
    try {
      if (reply.error) throw new ClaimError(`service error ${reply.error.code}`);
      const value = readJson(reply.data);
      refusal = parse(RefusalReply, value);
      if (!refusal.error && !refusal.disconnect) answer = parse(shape, value);
    } catch (error) {
      if (!(error instanceof ClaimError)) throw error;
      this.#report(name, error.message);
      throw new CommandError(Errors.internal, `rtauth.${name}: ${error.message}`);
    }
    if (refusal.disconnect) throw new ConnectionError(refusal.disconnect, `by rtauth.${name}`);
    if (answer === undefined) throw new CommandError(errorCode(refusal.error!), `by rtauth.${name}`);
    const texts = rawMembers(reply.data);
    return { answer, texts, data: jsonText("data", texts.get("data")) };
  }

  #report(name: string, why: string): void {
    this.#unlogged++;
    const now = this.#options.now();
    if (now < this.#loggedAtMs + LOG_INTERVAL_MS) return;
    this.#options.log.warn("auth callout failed", {
      subject: `rtauth.${name}`,
      why,
      failures: this.#unlogged,
    });
    this.#loggedAtMs = now;
    this.#unlogged = 0;
  }
}

/** Whether a request's failure is one the client should see as it is. That nobody serves the subject is not. */
function isPassedOn(error: unknown): boolean {
  return (
    error instanceof CommandError &&
    ("temporary" in error.error || error.error.code === Errors.limitExceeded.code)
  );
}

function errorCode({ code, message, temporary }: z.infer<typeof ErrorReply>) {
  return temporary ? { code, message, temporary } : { code, message };
}

function readJson(text: string): unknown {
  const flaw = jsonFlaw(text);
  if (flaw !== undefined) throw new ClaimError(`reply is ${flaw}`);
  return JSON.parse(text);
}

/** An object as JSON with members whose values are JSON texts already; what is undefined is left out. */
function jsonObject(members: object, texts: Readonly<Record<string, string | undefined>>): string {
  let json = JSON.stringify(members).slice(0, -1);
  for (const [name, text] of Object.entries(texts)) {
    if (text !== undefined && text !== "")
      json += `${json === "{" ? "" : ","}${JSON.stringify(name)}:${text}`;
  }
  return `${json}}`;
}
