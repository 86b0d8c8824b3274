import type { PusherOptions, pusherServer, TestPusher } from "../helpers/pusher-clients.ts";
import type { EdgeWorld } from "./edge-context.ts";

/** What the parts of the suite are written with. */
export interface PusherContext {
  readonly world: () => EdgeWorld;
  /** A stock client of one instance. */
  readonly client: (options?: PusherOptions, instance?: "a" | "b") => TestPusher;
  /** The stock server SDK, talking to instance `b`. */
  readonly server: () => ReturnType<typeof pusherServer>;
  /** A channel no other test uses. */
  readonly fresh: (prefix: string) => string;
}
