import { z } from "zod";
import { records } from "../shapes/records.ts";
import { isPrivate } from "./issuers.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./units.ts";

/** Longest that an endpoint may take, ms: connections that expire meanwhile are asked about again after half a minute. */
const MOST_MS = 30_000;
const MOST_BYTES = 16 * 1024 * 1024;

const must = (what: string) => ({ error: `it must be ${what}` });
const object = <S extends z.core.$ZodLooseShape>(shape: S) => z.strictObject(shape, must("an object"));

/** How an endpoint may be called: short, and nothing that could be taken for yes or no. */
const ENDPOINT_NAME = /^(?!(?:true|false)$)[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;
const NAME_WORDS = "a name of up to 64 of A-Z, a-z, 0-9, _, . and -";

const HEADER = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/;

/** Headers that belong to one connection, or to the body that is sent: they can be no other's. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  ...(["host", "connection", "keep-alive", "upgrade", "te", "trailer", "transfer-encoding"] as const),
  ...(["content-length", "content-type", "expect", "accept-encoding", "trunkline-ip"] as const),
]);

const header = () =>
  z
    .string(must("the name of a header"))
    .regex(HEADER, must("the name of a header"))
    .refine((name) => !OWN_HEADERS.has(name.toLowerCase()), must("no header of the connection or the body"))
    .transform((name) => name.toLowerCase());

function measured(what: string, most: number, parse: (text: string) => number | undefined) {
  const error = must(what);
  return z.union([z.string(), z.int().nonnegative()], error).transform((raw, context) => {
    const value = typeof raw === "number" ? raw : parse(raw);
    if (value !== undefined && value > 0 && value <= most) return value;
    context.addIssue({ code: "custom", message: error.error });
    return z.NEVER;
  });
}

function whole(least: number, most: number) {
  const error = must(`a whole number from ${least} to ${most}`);
  return z.int(error).min(least, error).max(most, error);
}

const status = () =>
  object({
    status: whole(300, 599),
    error: object({
      code: whole(100, 1999),
      message: z.string(must("a text")).max(1_000).default(""),
      temporary: z.boolean(must("true or false")).default(false),
    }).optional(),
    disconnect: object({
      code: whole(3000, 4999),
      reason: z
        .string(must("a text"))
        .regex(/^[\x20-\x7e]{0,123}$/, must("at most 123 characters of ASCII"))
        .default(""),
    }).optional(),
  }).refine(({ error, disconnect }) => (error === undefined) !== (disconnect === undefined), {
    error: "it must have exactly one of error and disconnect",
  });

const URL_WHAT = "an http:// or https:// URL without a user; {event} in its path stands for what is asked";

const endpoint = () =>
  object({
    url: z
      .string(must(URL_WHAT))
      .regex(/^https?:\/\/[^\s@/?#]+(?:[/?][^\s@#]*)?$/, must(URL_WHAT))
      .refine((url) => URL.canParse(url.replaceAll("{event}", "connect")), must(URL_WHAT)),
    timeout: measured(
      `a duration from 1ms to ${formatDuration(MOST_MS)}, such as "1s"`,
      MOST_MS,
      parseDuration,
    ).default(1_000),
    headers: z.array(header(), must("a list of headers")).default([]),
    emulatedHeaders: z.array(header(), must("a list of headers")).default([]),
    addHeaders: records(
      z.string().regex(/^[\t\x20-\x7e]{0,8192}$/, must("a header's value")),
      z.string().regex(HEADER, must("the name of a header")),
      must("an object of headers"),
    ).default({}),
    meta: z.boolean(must("true or false")).default(false),
    base64: z.boolean(must("true or false")).default(false),
    statuses: z.array(status(), must("a list of statuses")).default([]),
    inFlight: whole(1, 100_000).default(250),
    answer: measured(
      `a size from 1B to ${formatSize(MOST_BYTES)}, such as "64KiB"`,
      MOST_BYTES,
      parseSize,
    ).default(262_144),
    unencrypted: z.boolean(must("true or false")).default(false),
  })
    .superRefine((value, context) => {
      const passed = [...value.headers, ...value.emulatedHeaders];
      const added = Object.keys(value.addHeaders).map((name) => name.toLowerCase());
      for (const name of added) {
        // What the client writes would stand in the place of what the settings say.
        if (!passed.includes(name) && !OWN_HEADERS.has(name)) continue;
        context.addIssue({
          code: "custom",
          message: `addHeaders: ${name} cannot be added, and be passed on or set`,
        });
      }
    })
    .transform(({ timeout, answer, ...rest }) => ({ ...rest, timeoutMs: timeout, answerBytes: answer }));

/** `callouts.endpoints` in the file, or as JSON in the environment. */
export const endpoints = () =>
  records(
    endpoint(),
    z.string().regex(ENDPOINT_NAME, must(NAME_WORDS)),
    must("an object of endpoints by name"),
  );

export type EndpointSettings = z.output<ReturnType<typeof endpoint>>;

/** Endpoints for people: without what is added to requests, and without paths, which may hold secrets. */
export function showEndpoints(all: Readonly<Record<string, EndpointSettings>>): unknown {
  return Object.fromEntries(
    Object.entries(all).map(([name, { timeoutMs, answerBytes, addHeaders, url, ...rest }]) => [
      name,
      {
        url: url.replace(/^(https?:\/\/[^/?#]+)[/?].+$/s, "$1/***"),
        ...rest,
        timeout: formatDuration(timeoutMs),
        answer: formatSize(answerBytes),
        addHeaders: Object.fromEntries(Object.keys(addHeaders).map((header) => [header, "***"])),
      },
    ]),
  );
}

/** What {@link rpcCallouts} and the namespaces' settings name a service by. */
export const calloutTarget = () =>
  z.union([z.boolean(), z.string().regex(ENDPOINT_NAME)], must("true, false, or the name of an endpoint"));

/** `rpc.callouts`. */
export const rpcCallouts = () =>
  records(
    z.union([z.literal(true), z.string().regex(ENDPOINT_NAME)], must("true or the name of an endpoint")),
    z
      .string()
      .regex(/^(?:\*|[-A-Za-z0-9_.]{1,64})$/, must("the name of a namespace of methods, default or *")),
    must("an object"),
  );

/** JSON as the environment holds it; text that is none is left to the schema to refuse. */
export function jsonFromEnv(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What must not be sent over a wire that others may read. */
export function* endpointProblems(
  all: Readonly<Record<string, EndpointSettings>>,
  insecure: boolean,
): Generator<string> {
  for (const [name, { url, unencrypted }] of Object.entries(all)) {
    if (insecure || unencrypted || isPrivate(url)) continue;
    yield `callouts.endpoints.${name}: what is sent to http:// can be read on its way, cookies and all; use https://, or ` +
      'set "unencrypted": true if the network between is yours alone';
  }
}
