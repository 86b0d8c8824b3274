import { z } from "zod";
import { NAMESPACE_PATTERN } from "../core/channel.ts";
import { must, named, strict, yesNo } from "./shapes.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./units.ts";
import { kindsOf, showWebhook, webhookMembers } from "./webhooks.ts";

/** Kinds of events an app's webhooks may ask for. */
const WEBHOOK_EVENTS = [
  "channel_occupied",
  "channel_vacated",
  "member_added",
  "member_removed",
  "client_event",
  "cache_miss",
  "subscription_count",
] as const;

function whole(min: number, max: number, fallback: number) {
  const error = must(`a whole number from ${min} to ${max}`);
  return z.int(error).min(min, error).max(max, error).default(fallback);
}

/** A size in [1, most] bytes, as text or a number. */
function size(most: number, fallback: string) {
  const error = must(`a size from 1B to ${formatSize(most)}, such as "10KiB"`);
  return z
    .union([z.string(), z.int().nonnegative()], error)
    .default(fallback)
    .transform((raw, context) => {
      const value = typeof raw === "number" ? raw : parseSize(raw);
      if (value !== undefined && value > 0 && value <= most) return value;
      context.addIssue({ code: "custom", message: error.error });
      return z.NEVER;
    });
}

/** A duration up to `most`, as text or ms. */
function duration(most: string, fallback: string) {
  const error = must(`a duration from 0s to ${most}, such as "30s"`);
  return z
    .union([z.string(), z.int().nonnegative()], error)
    .default(fallback)
    .transform((raw, context) => {
      const value = typeof raw === "number" ? raw : parseDuration(raw);
      if (value !== undefined && value <= parseDuration(most)!) return value;
      context.addIssue({ code: "custom", message: error.error });
      return z.NEVER;
    });
}

const limits = () =>
  strict("an object", {
    presenceMembers: whole(1, 100_000, 100),
    userInfo: size(65_536, "1KiB"),
    event: size(1_048_576, "10KiB"),
    channelName: whole(1, 200, 164),
    messagesPerSecond: whole(0, 1_000_000, 0),
    clientEventsPerSecond: whole(0, 1_000_000, 10),
    connections: whole(0, 10_000_000, 0),
    channels: whole(1, 100_000, 1_000),
    authorizationTimeout: duration("1h", "0s"),
  }).transform(({ userInfo, event, authorizationTimeout, ...rest }) => ({
    ...rest,
    userInfoBytes: userInfo,
    eventBytes: event,
    authorizationTimeoutMs: authorizationTimeout,
  }));

const webhook = () =>
  strict("an object with a url", { ...webhookMembers(), events: kindsOf(WEBHOOK_EVENTS) });

const key = () =>
  strict("an object with key and secret", {
    key: named("up to 128 of A-Z, a-z, 0-9, _ and -", /^[A-Za-z0-9_-]{1,128}$/),
    secret: named("at least 16 characters; openssl rand -hex 20 makes one", /^[\x21-\x7e]{16,}$/),
  });

const app = () =>
  strict("an object", {
    id: named("up to 64 of A-Z, a-z, 0-9, _ and -", /^[A-Za-z0-9_-]{1,64}$/),
    keys: z.array(key(), must("a list of keys")).min(1, must("a list of at least one key")),
    namespace: named("the name of a namespace", NAMESPACE_PATTERN),
    enabled: yesNo(true),
    clientEvents: yesNo(false),
    subscriptionCount: yesNo(false),
    limits: limits().prefault({}),
    webhooks: z.array(webhook(), must("a list of webhooks")).default([]),
  });

/** `apps` in the file, or as JSON in the environment. */
export const apps = () => z.array(app(), must("a list of apps"));

/** One application of the Pusher protocol. */
export type AppSettings = z.output<ReturnType<typeof app>>;

/** An app for people: as the file would hold it, without its secrets. */
export function showApp({
  keys,
  limits: { userInfoBytes, eventBytes, authorizationTimeoutMs, ...rest },
  webhooks,
  ...app
}: AppSettings) {
  return {
    ...app,
    keys: keys.map(({ key }) => ({ key, secret: "***" })),
    limits: {
      ...rest,
      userInfo: formatSize(userInfoBytes),
      event: formatSize(eventBytes),
      authorizationTimeout: formatDuration(authorizationTimeoutMs),
    },
    webhooks: webhooks.map(showWebhook),
  };
}

/** What `trunkline dev` has when nothing else is set: a ready-made app to try a stock client with. The same each time. */
export function devApps(): readonly AppSettings[] {
  made ??= apps().parse([
    // A number: the stock server SDK for Python takes nothing else.
    {
      id: "1",
      keys: [{ key: "dev-key", secret: "dev-secret-of-trunkline" }],
      namespace: "chat",
      clientEvents: true,
      subscriptionCount: true,
    },
  ]);
  return made;
}

let made: readonly AppSettings[] | undefined;
