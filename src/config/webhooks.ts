import { z } from "zod";
import { EVENT_KINDS } from "../events/shapes.ts";
import { records } from "../shapes/records.ts";
import { named, strict, yesNo } from "./shapes.ts";

/** Headers that requests to webhooks have anyhow, or that say how they are sent. */
const TAKEN =
  /^(host|connection|content-(type|length|encoding)|transfer-encoding|te|upgrade|expect|keep-alive|trailer|user-agent|x-pusher-.*|webhook-.*|trunkline-.*)$/i;

const HEADERS_WHAT = "headers by name, none of which a webhook has anyhow";

/** What webhooks of all shapes have: where, and which channels, and how. */
export const webhookMembers = () => ({
  url: named("an http:// or https:// URL", /^https?:\/\/[^\s@]+$/),
  channelPrefix: named("what the names of channels begin with", /^.{0,200}$/s).default(""),
  batch: yesNo(false),
  headers: records(
    named("printable text", /^[\x20-\x7e]{0,4000}$/),
    named(HEADERS_WHAT, /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/).refine(
      (name) => !TAKEN.test(name),
      HEADERS_WHAT,
    ),
    { error: `it must be ${HEADERS_WHAT}` },
  ).default({}),
});

/** Kinds of events to be sent; empty: all. */
export function kindsOf<const K extends string>(kinds: readonly K[]) {
  return z
    .array(z.enum(kinds, { error: `it must be one of ${kinds.join(", ")}` }), {
      error: "it must be a list of events",
    })
    .default([]);
}

/** A secret as Standard Webhooks writes it. */
const SECRET = /^whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const endpoint = () =>
  strict("an object with name, url and secret", {
    name: named("up to 64 of A-Z, a-z, 0-9, _ and -", /^[A-Za-z0-9_-]{1,64}$/),
    secret: named(
      'whsec_ and 24 to 64 bytes in base64; echo "whsec_$(openssl rand -base64 32)" makes one',
      SECRET,
    ),
    events: kindsOf(EVENT_KINDS),
    ...webhookMembers(),
  });

/** `webhooks.endpoints` in the file, or as JSON in the environment. */
export const endpoints = () => z.array(endpoint(), { error: "it must be a list of endpoints" });

/** One endpoint that is told of events. */
export type EndpointSettings = z.output<ReturnType<typeof endpoint>>;

/** A webhook for people: a path, a query or a header may be a secret. */
export function showWebhook<W extends Pick<EndpointSettings, "url" | "headers">>(webhook: W): W {
  return {
    ...webhook,
    url: webhook.url.replace(/^(https?:\/\/[^/?#]+)[/?#].+$/s, "$1/***"),
    headers: Object.fromEntries(Object.keys(webhook.headers).map((name) => [name, "***"])),
  };
}

/** An endpoint for people, without its secrets. */
export function showEndpoint(value: EndpointSettings): EndpointSettings {
  return { ...showWebhook(value), secret: "***" };
}
