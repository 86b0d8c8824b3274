import { centrifugeGo, centrifugo, centrifugoRedis } from "./centrifuge.ts";
import { plainBun, plainWs, socketIo } from "./control.ts";

/** Targets that need no settings, by their command-line names. `trunkline` itself is not among them. */
export const peers = {
  bun: plainBun,
  ws: plainWs,
  socketio: socketIo,
  centrifugo,
  "centrifugo-redis": centrifugoRedis,
  "centrifuge-go": centrifugeGo,
} as const;

export type PeerName = keyof typeof peers;

export function isPeer(name: string): name is PeerName {
  return Object.hasOwn(peers, name);
}
