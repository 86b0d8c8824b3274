/**
 * Offsets that name their message: `sequence × 65536 + tag`. The tag is 15 bits of a hash of what makes the message
 * that one, always even and never 0, so that a number names a message and not only a place, which another message may
 * have taken since.
 *
 * - An even tag: this message, and everything before it.
 * - An odd one, of which the tag is the next: just before that message (a client may subtract 1 from an offset).
 * - {@link UNNAMED}: everything up to this sequence, whatever stands there.
 */

/** Room for tags between two sequences. */
const TAGS = 65_536;
/** Tags that a message may have. */
const KINDS = 32_767;

/** The highest sequence of which all offsets are safe integers: 4 years of 1,000 messages a second. */
export const MAX_SEQUENCE = 2 ** 37 - 1;

/** The tag of a position that names no message but only a sequence. Above all others: it comes after every message there. */
export const UNNAMED = TAGS - 1;

export function offsetOf(sequence: number, tag: number): number {
  return sequence * TAGS + tag;
}

export function sequenceOf(offset: number): number {
  return Math.floor(offset / TAGS);
}

export function tagIn(offset: number): number {
  return offset % TAGS;
}

/** The position after everything at a sequence, of which nothing else is known. 0 is before everything. */
export function unnamedOffset(sequence: number): number {
  return sequence === 0 ? 0 : offsetOf(sequence, UNNAMED);
}

/** A tag made of what names a message: even, from 2 to 65,534. */
export function tagOfText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return tagOfHash(hash);
}

/** A tag made of a 32-bit hash. */
export function tagOfHash(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  mixed ^= mixed >>> 16;
  return 2 * (1 + ((mixed >>> 0) % KINDS));
}
