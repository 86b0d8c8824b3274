/**
 * Offsets that name their message: `sequence × 65536 + tag`. The tag is 15 bits of a hash of what makes the message
 * that one, always even and never 0, so that a number names a message and not only a place, which another message may
 * have taken since.
 *
 * - An even tag: this message, and everything before it.
 * - An odd one, of which the tag is the next: just before that message (a client may subtract 1 from an offset).
 * - The highest of all ({@link unnamedOffset}): everything up to this sequence, whatever stands there.
 *
 * Offsets are safe integers, so that a stream of very many messages must do with shorter tags from some sequence on: see
 * {@link STRETCHES}. Offsets rise all the way.
 */

/** Part of a stream in which tags are of one length. */
interface Stretch {
  /** Its first sequence, and the offset at which that begins. */
  readonly from: number;
  readonly offset: number;
  /** Room for tags between two sequences. */
  readonly room: number;
}

/** Room for tags in the first stretch, the one that nearly all streams stay in: 2 years of 1,000 messages a second. */
const TAGS = 65_536;
const SECOND = 2 ** 36;
const THIRD = SECOND + 2 ** 39;

/** By rising sequence. The first takes half of all safe integers, the others a quarter each. */
const STRETCHES: readonly [Stretch, Stretch, Stretch] = [
  { from: 0, offset: 0, room: TAGS },
  { from: SECOND, offset: 2 ** 52, room: 4_096 },
  { from: THIRD, offset: 2 ** 52 + 2 ** 51, room: 256 },
];

/** The highest sequence of which all offsets are safe integers: 6 years of 50,000 messages a second. */
export const MAX_SEQUENCE = THIRD + 2 ** 43 - 1;

/** From this sequence on tags are shorter. */
export const NARROW_FROM = SECOND;

function stretchOf(sequence: number): Stretch {
  const [wide, narrow, last] = STRETCHES;
  return sequence < SECOND ? wide : sequence < THIRD ? narrow : last;
}

function stretchAt(offset: number): Stretch {
  const [wide, narrow, last] = STRETCHES;
  return offset < narrow.offset ? wide : offset < last.offset ? narrow : last;
}

/** The offset of a message. @param tag of {@link tagOfText} or {@link tagOfHash} */
export function offsetOf(sequence: number, tag: number): number {
  if (sequence < SECOND) return sequence * TAGS + tag;
  const { from, offset, room } = stretchOf(sequence);
  return offset + (sequence - from) * room + shortened(tag, room);
}

export function sequenceOf(offset: number): number {
  if (offset < 2 ** 52) return Math.floor(offset / TAGS);
  const { from, offset: begins, room } = stretchAt(offset);
  return from + Math.floor((offset - begins) / room);
}

/** The tag in an offset, as long as it is at that sequence. */
export function tagIn(offset: number): number {
  return offset % stretchAt(offset).room; // each stretch begins at a multiple of it
}

/** A tag as it is in offsets of this sequence. */
export function tagAt(sequence: number, tag: number): number {
  return sequence < SECOND ? tag : shortened(tag, stretchOf(sequence).room);
}

/** The position after everything at a sequence, of which nothing else is known. 0 is before everything. */
export function unnamedOffset(sequence: number): number {
  if (sequence === 0) return 0;
  const { from, offset, room } = stretchOf(sequence);
  return offset + (sequence - from + 1) * room - 1;
}

/** Whether an offset only says a sequence. */
export function isUnnamed(offset: number): boolean {
  const tag = tagIn(offset);
  return tag === 0 || tag === stretchAt(offset).room - 1;
}

/** Whether a position is just before the message that it names. */
export function isBefore(offset: number): boolean {
  return !isUnnamed(offset) && offset % 2 === 1;
}

/**
 * Whether an offset cannot be one of ours, nor made of a sequence by hand: `sequence × 65536` is meant for the first stretch
 * and names quite another sequence in the others.
 */
export function isForeign(offset: number): boolean {
  return offset >= STRETCHES[1].offset && tagIn(offset) === 0;
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
  return 2 * (1 + ((mixed >>> 0) % kindsIn(TAGS)));
}

/** Tags that messages may have where there is so much room. */
function kindsIn(room: number): number {
  return room / 2 - 1;
}

function shortened(tag: number, room: number): number {
  return 2 * (1 + ((tag / 2 - 1) % kindsIn(room)));
}
