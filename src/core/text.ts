/**
 * The coders between text and UTF-8 that the whole product shares. They keep nothing between two calls: who decodes a
 * stream of chunks needs a decoder of its own.
 */
export const utf8Encoder = new TextEncoder();

/** Replaces malformed bytes by U+FFFD: for bytes of a peer that is trusted, or whose text is checked afterwards. */
export const utf8Decoder = new TextDecoder();

/** Throws TypeError on malformed bytes, and leaves out none: for bytes of anybody else. */
export const strictUtf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
