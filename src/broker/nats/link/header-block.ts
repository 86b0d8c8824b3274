import { utf8Encoder } from "../../../core/text.ts";
import type { MsgHdrs } from "../../../nats/client.ts";

const FIRST_LINE = "NATS/1.0\r\n";

/** Printable ASCII without space and colon. */
const NAME = /^[\x21-\x39\x3b-\x7e]+$/;
const BREAK = /[\r\n]/;

/**
 * Headers of one message on its way out, as the text they are sent as. The library's own class takes 3.5 KB for four of
 * them, and all that is ever asked of them on their way is their bytes.
 */
export class HeaderBlock {
  #text = FIRST_LINE;

  /** Sets a header, in place of one of that name. @throws Error where it cannot be a header */
  set(name: string, value: string): void {
    if (!NAME.test(name) || BREAK.test(value)) throw new Error(`malformed header: ${name}`);
    const begin = this.#text.indexOf(`\r\n${name}: `) + 2;
    if (begin > 1) {
      const end = this.#text.indexOf("\r\n", begin) + 2;
      this.#text = this.#text.slice(0, begin) + this.#text.slice(end);
    }
    this.#text += `${name}: ${value}\r\n`;
  }

  /** Adds a header that is none of those that are there. @param line `Name: value`, which can be one */
  add(line: string): void {
    this.#text += `${line}\r\n`;
  }

  /** All of it, with the empty line at its end. */
  get text(): string {
    return `${this.#text}\r\n`;
  }

  /** What the library asks of headers that are sent. */
  encode(): Uint8Array {
    return utf8Encoder.encode(this.text);
  }

  /** For the library. */
  get native(): MsgHdrs {
    return this as unknown as MsgHdrs;
  }
}
