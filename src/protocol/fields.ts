import { isJsonLine } from "../core/json-check.ts";
import { isCount, MAX_INT32 } from "../core/numbers.ts";
import type { ClientInfo, Publication } from "../core/publication.ts";

/**
 * The encoders' last line of defence. What they splice was checked where it entered; should something have slipped
 * through, a frame that clients cannot read is not made: they would drop the connection, and again at every recovery.
 */

/** A value does not fit the field it was to be written into. The message names the field, never the value. */
export class EncodeError extends Error {
  override readonly name = "EncodeError";

  constructor(field: string) {
    super(`not written: ${field} does not fit its field`);
  }
}

/** A number for a field of 32 bits. @throws EncodeError */
export function int32(field: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= MAX_INT32) return value;
  throw new EncodeError(field);
}

/** The number of a command, which is an unsigned field of 32 bits. @throws EncodeError */
export function commandId(value: number): number {
  if (value >>> 0 === value) return value;
  throw new EncodeError("id");
}

/** A number for a field of 64 bits: an offset, a count or a time. @throws EncodeError */
export function count(field: string, value: number): number {
  if (isCount(value)) return value;
  throw new EncodeError(field);
}

/** JSON text on one line. @throws EncodeError */
export function jsonText(field: string, text: string): string {
  if (isJsonLine(text)) return text;
  throw new EncodeError(field);
}

/** The field of a publication that could not be written; `undefined`: all can. For who takes one from a driver. */
export function publicationFlaw({ data, offset, timeMs, info }: Publication): string | undefined {
  if (!isCount(offset)) return "offset";
  if (!isCount(timeMs)) return "time";
  const flaw = info && infoFlaw(info);
  if (flaw !== undefined) return flaw;
  // Last: the text that was checked last is known to be good when it is written.
  return typeof data !== "string" || isJsonLine(data) ? undefined : "data";
}

/** As {@link publicationFlaw}, of what is known of a client. */
export function infoFlaw({ connInfo, chanInfo }: ClientInfo): string | undefined {
  if (connInfo !== undefined && !isJsonLine(connInfo)) return "conn_info";
  return chanInfo !== undefined && !isJsonLine(chanInfo) ? "chan_info" : undefined;
}
