import { utf8Encoder } from "../../core/text.ts";

/** Hash slots of a Redis Cluster. */
const SLOTS = 16_384;

/**
 * Parts that presence is divided into on a Redis Cluster. Each lies in one slot, so that a script may touch all of its
 * keys, and the slots lie evenly among all: of three masters each has ten or eleven parts. More masters than parts are
 * of no use. A lease and a look for the dead cost one command for each part.
 *
 * Instances of different versions meet in the same keys: neither the number nor the tags may ever change.
 */
export const PARTS = 32;

/** The slot of a key without a hash tag, or of what stands in one: CRC-16/XMODEM, as Redis Cluster defines it. */
export function slotOf(text: string): number {
  let crc = 0;
  for (const byte of utf8Encoder.encode(text)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc % SLOTS;
}

/** The part in which a name is kept: of a channel its members, of a user the connections and cursors. */
export function partOf(name: string): number {
  return Math.floor((slotOf(name) * PARTS) / SLOTS);
}

/** The hash tag of each part: the smallest number whose slot is among the part's own. */
export const PART_TAGS: readonly string[] = tags();

function tags(): string[] {
  const found: string[] = [];
  for (let n = 0, left = PARTS; left > 0; n++) {
    const part = partOf(`${n}`);
    if (found[part] !== undefined) continue;
    found[part] = `${n}`;
    left--;
  }
  return found;
}

/** What the keys of a part begin with. */
export function partPrefix(prefix: string, part: number): string {
  return `${prefix}{${PART_TAGS[part]!}}:`;
}
