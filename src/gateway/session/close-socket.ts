import type { CloseCode } from "../../core/errors.ts";
import type { Codec } from "../../protocol/codec.ts";
import type { Socket } from "../../runtime/runtime.ts";

/** Ends a socket as clients of the protocol understand it: a close frame after what is queued. */
export function closeSocket(socket: Socket, codec: Codec, close: CloseCode): void {
  const told = codec.closing?.(close) ?? close;
  const lastWord = codec.lastWord?.(told);
  if (lastWord !== undefined) socket.send(lastWord);
  socket.close(told.code, told.reason);
}
