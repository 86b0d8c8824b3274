import type { Position } from "../../../core/position.ts";
import {
  isForeign,
  isUnnamed,
  offsetOf,
  sequenceOf,
  tagIn,
  tagOfText,
  unnamedOffset,
} from "../../../core/tag.ts";
import type { Envelope } from "../link/headers.ts";
import type { Link } from "../link/link.ts";
import { hasTag, identityOf, type MessageIdentity, tagOf } from "../link/message-identity.ts";
import { isEnded, type StreamLife } from "../streams/identity.ts";
import type { RecentMessages } from "./recent.ts";

/**
 * The edge between the driver, which counts in the stream's sequences, and everybody else, who is given offsets that
 * name their message ({@link offsetOf}).
 */
export class Offsets {
  readonly #link: Pick<Link, "stamps">;
  readonly #recent: RecentMessages;

  constructor(link: Pick<Link, "stamps">, recent: RecentMessages) {
    this.#link = link;
    this.#recent = recent;
  }

  /** The offset of a message; the same one however it was seen. */
  of(envelope: Envelope): number {
    const { seq, id } = envelope;
    return id === undefined ? this.ofIdentity(identityOf(envelope)) : offsetOf(seq, tagOfText(id));
  }

  ofIdentity(one: MessageIdentity): number {
    // Before 2.10 the live feed does not say when a message was stored.
    return offsetOf(one.seq, tagOf(this.#link.stamps ? one : { ...one, stored: undefined }));
  }

  /** An offset at or below a sequence: of the newest message up to it that is known, else that names none. */
  upTo(sequence: number): number {
    const known = this.#recent.upTo(sequence);
    return known ? this.ofIdentity(known) : unnamedOffset(sequence);
  }

  /** An offset for exactly this sequence. */
  at(sequence: number): number {
    const known = this.#recent.find(sequence);
    return known ? this.ofIdentity(known) : unnamedOffset(sequence);
  }
}

/** Whether the message at a position's sequence is the one that the position names. */
export function names(offset: number, envelope: Envelope): boolean {
  if (isUnnamed(offset)) return true;
  const tag = tagIn(offset);
  return hasTag(identityOf(envelope), tag % 2 === 1 ? tag + 1 : tag);
}

/**
 * A position in the terms of a life, or undefined when it cannot be one of it. An empty epoch means the life now. The
 * id without `t_` is what earlier versions called a stream by, and their offsets are sequences. A position of a former
 * life is good up to where that ended. Whatever lies after that is not, even if the message it names stands: an instance
 * whose own link stays up hands out messages of the new past under the old name until it notices, after some of the old
 * past that are lost. Where a life only got another name, a position after that counts if it names its message.
 */
export function currentPosition(life: StreamLife, position: Position): Position | undefined {
  const { epoch, offset } = position;
  if (isForeign(offset)) return undefined;
  if (epoch === life.epoch || epoch === "") return { epoch: life.epoch, offset: normal(offset) };
  if (epoch === life.id) return { epoch: life.epoch, offset: unnamedOffset(offset) };
  const former = life.before.findIndex(({ id }) => epoch === id || epoch === `t_${id}`);
  if (former < 0) return undefined;
  const at = epoch === life.before[former]!.id ? unnamedOffset(offset) : normal(offset);
  const sequence = sequenceOf(at);
  const outlives = (one: StreamLife["before"][number]) =>
    !isEnded(one) && (sequence <= one.fork || (one.mark === one.fork && !isUnnamed(at)));
  // It has outlived every cut since.
  return life.before.slice(0, former + 1).every(outlives) ? { epoch: life.epoch, offset: at } : undefined;
}

/** One form for positions that name no message: they come after whatever stands there. */
function normal(offset: number): number {
  const sequence = sequenceOf(offset);
  return sequence === 0 || tagIn(offset) === 0 ? unnamedOffset(sequence) : offset;
}
