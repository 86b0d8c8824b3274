import { Buffer } from "node:buffer";
import { utf8Encoder } from "../../../core/text.ts";
import type { NatsConnection } from "../../../nats/client.ts";
import type { HeaderBlock } from "./header-block.ts";

/** What is used of the library's protocol handler (nats.js 2.29, `lib/nats-base-client/protocol.js`). */
interface Protocol {
  readonly info?: { readonly headers?: boolean; readonly max_payload: number };
  readonly noMorePublishing?: boolean;
  outMsgs: number;
  outBytes: number;
  sendCommand(command: Uint8Array): void;
  isClosed(): boolean;
}

export interface SendOptions {
  /** Where the answer goes. */
  readonly reply?: string;
  readonly headers?: HeaderBlock | undefined;
}

/**
 * Publishes as the connection's own `publish` does, and throws as that does. A text is put together with all that goes
 * before and after it and encoded once; the library makes four arrays of bytes of it and copies them into a fifth. Where a
 * newer library is built another way, its own way is taken.
 */
export function send(
  nc: NatsConnection,
  subject: string,
  payload: Uint8Array | string,
  { reply, headers }: SendOptions,
): void {
  const { protocol } = nc as unknown as { protocol?: Protocol };
  if (typeof payload !== "string" || !protocol || !isOpen(protocol) || subject === "") {
    nc.publish(subject, payload, { ...(reply && { reply }), ...(headers && { headers: headers.native }) });
    return;
  }
  const block = headers?.text ?? "";
  const blockBytes = block === "" ? 0 : Buffer.byteLength(block);
  const bytes = blockBytes + Buffer.byteLength(payload);
  if (bytes > protocol.info!.max_payload) {
    // Which refuses it.
    nc.publish(subject, payload, headers && { headers: headers.native });
    return;
  }
  const to = reply ? `${subject} ${reply}` : subject;
  const command = headers ? `HPUB ${to} ${blockBytes} ${bytes}\r\n` : `PUB ${to} ${bytes}\r\n`;
  protocol.outBytes += bytes;
  protocol.outMsgs++;
  protocol.sendCommand(utf8Encoder.encode(`${command}${block}${payload}\r\n`));
}

/** Whether it is the one we know, connected once, and takes messages. */
function isOpen(protocol: Protocol): boolean {
  const { info, sendCommand, isClosed, noMorePublishing } = protocol;
  if (typeof sendCommand !== "function" || typeof isClosed !== "function" || noMorePublishing) return false;
  return info?.headers === true && info.max_payload > 0 && !protocol.isClosed();
}
