import { isDeeper, MAX_JSON_DEPTH } from "./json-text.ts";

/**
 * The one check of JSON text that comes from outside and leaves in frames, headers or answers: messages, infos, claims,
 * bodies of calls and what services answer. What passes travels from there on as the text it is.
 */

/** Why a text cannot be carried as JSON. */
export type JsonFlaw = "not JSON" | "nested too deep" | "lone surrogate";

/**
 * Texts that were found good last, each on one line; the newest stands before `next`. A message is checked where it
 * arrives and once more where it is written: its texts are then still here, and found by their identity.
 */
const good: string[] = new Array(4).fill("0");
let next = 0;

function isKnown(text: string): boolean {
  return (
    good[(next + 3) & 3] === text ||
    good[(next + 2) & 3] === text ||
    good[(next + 1) & 3] === text ||
    good[next] === text
  );
}

/** What is wrong with a text that is to be carried as JSON; `undefined`: nothing. */
export function jsonFlaw(text: string): JsonFlaw | undefined {
  if (isKnown(text)) return undefined;
  if (!text.isWellFormed()) return "lone surrogate";
  try {
    JSON.parse(text);
  } catch {
    return "not JSON";
  }
  if (isDeeper(text, MAX_JSON_DEPTH)) return "nested too deep";
  if (SURROGATE_ESCAPE.test(text) && hasLoneEscape(text)) return "lone surrogate";
  if (!NEWLINE.test(text)) {
    good[next] = text;
    next = (next + 1) & 3;
  }
  return undefined;
}

/** Whether a text can be written into a frame as it is: JSON on one line. */
export function isJsonLine(text: string): boolean {
  return isKnown(text) || (jsonFlaw(text) === undefined && !NEWLINE.test(text));
}

/** JSON text without raw newlines, which stand between its tokens only. @param text valid JSON */
export function oneLine(text: string): string {
  return isKnown(text) || !NEWLINE.test(text) ? text : text.replace(/[\r\n]/g, " ");
}

/**
 * JSON text as a header can carry it. Raw control characters are white space between tokens below U+0020, and characters
 * of strings above, which are escaped. @param text valid JSON
 */
export function headerText(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) => {
    const code = control.charCodeAt(0);
    return code < 32 ? " " : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

const NEWLINE = /[\r\n]/;
const SURROGATE_ESCAPE = /\\u[dD][89a-fA-F]/;

/**
 * Whether an escape names half a surrogate pair (`"\ud800"`). JavaScript reads it; other languages' clients refuse the
 * whole frame, and would refuse it again at every recovery (RFC 8259 section 8.2, forbidden by RFC 7493).
 */
function hasLoneEscape(text: string): boolean {
  let highEnd = -1; // index behind a high half that waits for its low one
  for (const found of text.matchAll(/\\(?:u([0-9a-fA-F]{4})|.)/g)) {
    const unit = found[1] === undefined ? 0 : Number.parseInt(found[1], 16);
    const isLow = unit >= 0xdc00 && unit <= 0xdfff;
    if (isLow !== (highEnd === found.index)) return true;
    if (highEnd >= 0 && highEnd !== found.index) return true;
    highEnd = unit >= 0xd800 && unit <= 0xdbff ? found.index + 6 : -1;
  }
  return highEnd >= 0;
}
