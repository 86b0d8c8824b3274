import { constants, crc32, deflateRawSync } from "node:zlib";

/** Before the first piece of a stream (RFC 1952): deflate, no name, no time. */
export const GZIP_HEAD = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff);

/** Most bytes of a block that is not compressed (RFC 1951 §3.2.4). */
const STORED_BYTES = 65_535;
const STORED_HEAD_BYTES = 5;

/**
 * A piece of a stream as blocks of deflate that refer to nothing before them and end at a byte: the same for every stream
 * that has it, and complete for the reader without what follows.
 * @param compress false: it is packed as it is
 */
export function gzipPiece(plain: Uint8Array, compress: boolean): Uint8Array {
  if (compress) return deflateRawSync(plain, { finishFlush: constants.Z_SYNC_FLUSH });
  const blocks = Math.ceil(plain.length / STORED_BYTES);
  const bytes = new Uint8Array(plain.length + blocks * STORED_HEAD_BYTES);
  const view = new DataView(bytes.buffer);
  for (let from = 0, at = 0; from < plain.length; from += STORED_BYTES) {
    const block = plain.subarray(from, from + STORED_BYTES);
    view.setUint16(at + 1, block.length, true);
    view.setUint16(at + 3, ~block.length & 0xffff, true);
    bytes.set(block, at + STORED_HEAD_BYTES);
    at += STORED_HEAD_BYTES + block.length;
  }
  return bytes;
}

/** What one stream must know of all it has sent, to end well. */
export class GzipSum {
  #crc = 0;
  #length = 0;

  add(plain: Uint8Array): void {
    this.#crc = crc32(plain, this.#crc);
    this.#length = (this.#length + plain.length) >>> 0;
  }

  /** The last block, which is empty, and the checksum. */
  tail(): Uint8Array {
    const bytes = new Uint8Array(10);
    const view = new DataView(bytes.buffer);
    bytes[0] = 3;
    view.setUint32(2, this.#crc, true);
    view.setUint32(6, this.#length, true);
    return bytes;
  }
}
