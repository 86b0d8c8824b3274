import { centrifugeClients } from "./clients-centrifuge.ts";
import { plainClients } from "./clients-plain.ts";
import { pusherClients } from "./clients-pusher.ts";
import type { Sdk } from "./types.ts";

/**
 * What the compatibility table is made of: who the clients are, which tests exercise them, and what a test's title means
 * to somebody who wants to know what works. Nothing else decides what the table says.
 */
export const SDKS: readonly Sdk[] = [...centrifugeClients, ...pusherClients, ...plainClients];

/** Clients of the same protocols that no test runs; `languages.ts` has those that run in languages of their own. */
export const NOT_RUN = [
  "Centrifuge protocol: centrifuge-dart (Dart, Flutter), centrifuge-swift, centrifuge-csharp",
  "Pusher protocol 7, clients: pusher-websocket-swift, pusher-websocket-dotnet, pusher-channels-flutter",
  "Pusher HTTP API, servers: the one for .NET",
] as const;
