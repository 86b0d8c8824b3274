import { CommandError, Errors } from "../core/errors.ts";
import { type JsonFlaw, jsonFlaw, oneLine } from "../core/json-check.ts";
import type { NamespaceRules } from "../core/namespace.ts";
import { isCount } from "../core/numbers.ts";
import type { Body } from "../core/publication.ts";
import { strictUtf8Decoder, utf8Encoder } from "../core/text.ts";
import type { PublishOptions } from "./broker.ts";

/** Why a body is not what its namespace accepts; the word that stands in event `rejected`. */
export type Flaw = JsonFlaw | "too long" | "not UTF-8";

/** A body that was refused. One shared object for each reason: telling it from a {@link Body} costs nothing. */
export interface Refused {
  readonly flaw: Flaw;
}

const TOO_LONG: Refused = { flaw: "too long" };
const NOT_UTF8: Refused = { flaw: "not UTF-8" };
const REFUSED: Readonly<Record<JsonFlaw, Refused>> = {
  "not JSON": { flaw: "not JSON" },
  "nested too deep": { flaw: "nested too deep" },
  "lone surrogate": { flaw: "lone surrogate" },
};

type BodyRules = Pick<NamespaceRules, "format" | "maxMessageBytes">;

export function isRefused(body: Body | Refused): body is Refused {
  return typeof body === "object" && "flaw" in body;
}

/**
 * Reads the bytes of a message from any publisher. In a `json` namespace, and wherever `contentType` is absent or
 * JSON, they must be JSON text; other content types of a `binary` namespace stay bytes.
 *
 * JSON text comes back without raw newlines (legal between tokens only, where a space means the same), so that it can
 * be spliced into newline-framed JSON; bytes come back as a copy, which keeps no network buffer alive.
 */
export function readBody(
  bytes: Uint8Array,
  contentType: string | undefined,
  rules: BodyRules,
): Body | Refused {
  if (bytes.length > rules.maxMessageBytes) return TOO_LONG;
  if (rules.format === "binary" && contentType !== undefined && !JSON_TYPE.test(contentType)) {
    return bytes.slice();
  }
  let text: string;
  try {
    text = strictUtf8Decoder.decode(bytes);
  } catch {
    return NOT_UTF8;
  }
  return readJson(text);
}

/**
 * Checks what is about to be published, and returns it as {@link readBody} would on the other side.
 * @throws CommandError limitExceeded (too long), badRequest (not what the namespace accepts)
 */
export function checkBody(body: Body, rules: BodyRules): Body {
  const checked = checkOwn(body, rules);
  if (!isRefused(checked)) return checked;
  throw new CommandError(checked === TOO_LONG ? Errors.limitExceeded : Errors.badRequest, checked.flaw);
}

function checkOwn(body: Body, rules: BodyRules): Body | Refused {
  if (typeof body !== "string") {
    return readBody(body, rules.format === "binary" ? BYTES_TYPE : undefined, rules);
  }
  if (!fitsUtf8(body, rules.maxMessageBytes)) return TOO_LONG;
  return readJson(body);
}

/** Content type of bodies that are bytes, where their publisher says nothing better. */
export const BYTES_TYPE = "application/octet-stream";

const JSON_TYPE = /^\s*application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;

/** Whether the UTF-8 form of a text is at most `bytes` long; counted only when its length leaves it open. */
function fitsUtf8(text: string, bytes: number): boolean {
  if (text.length > bytes) return false;
  return text.length * 3 <= bytes || utf8Encoder.encode(text).length <= bytes;
}

function readJson(text: string): string | Refused {
  const flaw = jsonFlaw(text);
  return flaw === undefined ? oneLine(text) : REFUSED[flaw];
}

const ID = /^[\x21-\x7e]{1,128}$/;
/** Printable ASCII without space and colon. */
const HEADER_NAME = /^[\x21-\x39\x3b-\x7e]+$/;
const HEADER_VALUE = /^[^\p{Cc}\p{Cs}]*$/u;
const MAX_EVENT_LENGTH = 200;
const MAX_TAGS = 32;
const MAX_TAG_NAME_LENGTH = 64;
const MAX_TAG_LENGTH = 1_024;

/**
 * Whether a header can carry this: no CR, LF or other control character. Headers lose spaces at the ends of their
 * value: only what comes back as it was sent can be carried.
 */
export function isHeader(name: string, value: string): boolean {
  return HEADER_NAME.test(name) && HEADER_VALUE.test(value) && value === value.trim();
}

/**
 * Checks everything of a publish that travels in headers, and that nothing of it is without a bound.
 * @throws CommandError badRequest
 */
export function checkOptions({ id, event, except, tags, version }: PublishOptions): void {
  if (version && !(isCount(version.number) && (version.epoch === "" || ID.test(version.epoch))))
    refuse("version");
  if (id !== undefined && !ID.test(id)) refuse("id");
  if (except !== undefined && !ID.test(except)) refuse("except");
  if (event !== undefined && (event === "" || event.length > MAX_EVENT_LENGTH || !isHeader("e", event))) {
    refuse("event");
  }
  if (tags === undefined) return;
  const entries = Object.entries(tags);
  if (entries.length > MAX_TAGS) refuse("tags");
  for (const [name, value] of entries) {
    if (name.length > MAX_TAG_NAME_LENGTH || value.length > MAX_TAG_LENGTH || !isHeader(name, value)) {
      refuse("tag");
    }
  }
}

function refuse(what: string): never {
  throw new CommandError(Errors.badRequest, `malformed publish option: ${what}`);
}
