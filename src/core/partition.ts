import { utf8Encoder } from "./text.ts";

/** One of the streams that share a namespace: `index` of 0 to `of` - 1. A namespace with one stream has none. */
export interface Part {
  readonly index: number;
  readonly of: number;
}

/**
 * Tokens of a name that decide its partition; what stands behind them does not count. A subject mapping of
 * nats-server names every token it hashes, so that there must be a last one.
 */
export const HASHED_TOKENS = 8;

/** FNV-1a, 32 bits: what the mapping function `partition` of nats-server hashes with (server/subject_transform.go). */
const OFFSET = 0x811c9dc5;
const PRIME = 0x01000193;

const DOT = 46;

/**
 * The partition of a name: the hash of its tail's first tokens, written without their dots, modulo `of`. Exactly what
 * `{{partition(of,1,…)}}` of a subject mapping says on nats-server 2.9 to 2.12.
 * @param tail as `encodeTail` writes it
 */
export function partitionOf(tail: string, of: number): number {
  let hash = OFFSET;
  let token = 1;
  for (const byte of utf8Encoder.encode(tail)) {
    if (byte !== DOT) hash = Math.imul(hash ^ byte, PRIME);
    else if (++token > HASHED_TOKENS) break;
  }
  return (hash >>> 0) % of;
}

/** The partitions of a namespace; `[undefined]` when it has one stream only. */
export function partsOf(partitions: number): readonly (Part | undefined)[] {
  if (partitions === 1) return [undefined];
  return Array.from({ length: partitions }, (_, index) => ({ index, of: partitions }));
}
