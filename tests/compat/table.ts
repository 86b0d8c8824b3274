import { centrifugeClients } from "./clients-centrifuge.ts";
import { plainClients } from "./clients-plain.ts";
import { pusherClients } from "./clients-pusher.ts";
import type { Sdk } from "./types.ts";

/**
 * What the compatibility table is made of: who the clients are, which tests exercise them, and what a test's title means
 * to somebody who wants to know what works. Nothing else decides what the table says.
 */
export const SDKS: readonly Sdk[] = [...centrifugeClients, ...pusherClients, ...plainClients];

/** Clients of the same protocols that no test runs. */
export const NOT_RUN = [
  "Centrifuge protocol: centrifuge-dart (Dart, Flutter), centrifuge-swift, centrifuge-java (Java, Kotlin, Android), centrifuge-go, centrifuge-python, centrifuge-csharp",
  "Pusher protocol 7, clients: pusher-websocket-swift, pusher-websocket-java, pusher-websocket-dotnet, pusher-channels-flutter",
  "Pusher HTTP API, servers: those for PHP (and Laravel), Ruby, Python, Go, .NET, Java",
] as const;
