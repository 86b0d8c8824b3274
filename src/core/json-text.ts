/**
 * Finding the text of a value inside a JSON text, so that payloads travel exactly as they were written: a parse and
 * a stringify would change big integers, `1.0` and key order.
 */

const QUOTE = 34;
const BACKSLASH = 92;

/**
 * The source text of the member at `path` in an object, `undefined` when there is none. Of a repeated key the last one
 * counts, as with JSON.parse.
 * @param text valid JSON (parse it first); with other text the result means nothing
 */
export function rawMember(text: string, ...path: readonly string[]): string | undefined {
  let start = skipSpace(text, 0);
  let end = text.length;
  for (const key of path) {
    if (text.charCodeAt(start) !== 123) return undefined; // no object
    let found = -1;
    let foundEnd = -1;
    let at = skipSpace(text, start + 1);
    while (text.charCodeAt(at) === QUOTE) {
      const keyEnd = skipString(text, at);
      const own = text.slice(at + 1, keyEnd - 1);
      const value = skipSpace(text, skipSpace(text, keyEnd) + 1); // over the colon
      const valueEnd = skipValue(text, value);
      if (own === key || (own.includes("\\") && JSON.parse(`"${own}"`) === key)) {
        found = value;
        foundEnd = valueEnd;
      }
      at = skipSpace(text, valueEnd);
      if (text.charCodeAt(at) !== 44) break; // no comma: the end
      at = skipSpace(text, at + 1);
    }
    if (found < 0) return undefined;
    start = found;
    end = foundEnd;
  }
  return text.slice(start, end);
}

/** The source texts of an object's members, by their keys; of a repeated key the last one counts. @param text valid JSON */
export function rawMembers(text: string): ReadonlyMap<string, string> {
  const members = new Map<string, string>();
  for (let at = skipSpace(text, 1); text.charCodeAt(at) === QUOTE; ) {
    const keyEnd = skipString(text, at);
    const value = skipSpace(text, skipSpace(text, keyEnd) + 1); // over the colon
    const end = skipValue(text, value);
    members.set(JSON.parse(text.slice(at, keyEnd)) as string, text.slice(value, end));
    at = skipSpace(text, end);
    if (text.charCodeAt(at) !== 44) break; // no comma: the end
    at = skipSpace(text, at + 1);
  }
  return members;
}

/** The source texts of an array's items, in order. @param text a valid JSON array, as {@link rawMember} gives it */
export function rawItems(text: string): readonly string[] {
  const items: string[] = [];
  for (let at = skipSpace(text, 1); at < text.length && text.charCodeAt(at) !== 93; ) {
    const end = skipValue(text, at);
    items.push(text.slice(at, end));
    at = skipSpace(text, end);
    if (text.charCodeAt(at) !== 44) break; // no comma: the end
    at = skipSpace(text, at + 1);
  }
  return items;
}

/**
 * The id that a JSON text names: a string's content, or a whole number's digits as they stand, which as a JavaScript
 * number would be rounded. `undefined` for anything else, 1.0, 1e3 and -0 included.
 */
export function idOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (text.charCodeAt(0) === QUOTE) return JSON.parse(text) as string;
  return /^(?:0|-?[1-9]\d*)$/.test(text) ? text : undefined;
}

/**
 * Levels of nesting that JSON from outside may have, in messages, commands and frames alike: the parsers of some client
 * languages recurse, and give up or crash at some hundreds.
 */
export const MAX_JSON_DEPTH = 100;

/**
 * Whether a JSON text nests deeper than `depth`. Of a text that is none, what looks like brackets outside strings is
 * counted all the same, so that a deep one need not be parsed.
 */
export function isDeeper(text: string, depth: number): boolean {
  if (text.length <= 2 * depth) return false; // each level takes two
  let open = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = skipString(text, at) - 1;
        break;
      case 91:
      case 123:
        if (++open > depth) return true;
        break;
      case 93:
      case 125:
        open--;
        break;
      default: // no bracket
    }
  }
  return false;
}

function skipSpace(text: string, at: number): number {
  for (; ; at++) {
    const c = text.charCodeAt(at);
    if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return at;
  }
}

/** @returns the index after the closing quote */
function skipString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end + 1;
  }
  return text.length;
}

function skipValue(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === QUOTE) return skipString(text, at);
  if (first !== 123 && first !== 91) {
    while (at < text.length && !ENDS_SCALAR.has(text.charCodeAt(at))) at++;
    return at;
  }
  for (let depth = 0; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === QUOTE) at = skipString(text, at) - 1;
    else if (c === 123 || c === 91) depth++;
    else if ((c === 125 || c === 93) && --depth === 0) return at + 1;
  }
  return at;
}

/** Space, tab, newlines, comma and the closing brackets. */
const ENDS_SCALAR: ReadonlySet<number> = new Set([32, 9, 10, 13, 44, 93, 125]);
