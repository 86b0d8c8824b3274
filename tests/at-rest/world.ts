import type { TestGateway } from "../gateway/fixture.ts";
import type { Random } from "../simulation/random.ts";
import type { Actor, PusherActor } from "./actors.ts";

/** Full names of the channels everything happens in. */
export const CHANNELS = ["chat:1", "chat:2"] as const;
/** And the one of Pusher clients, as they call it. */
export const ROOM = "presence-room";
/** What is at hand in a run, for its steps and its judge. */
export interface Run {
  readonly random: Random;
  readonly gateways: readonly TestGateway[];
  readonly actors: Actor[];
  readonly pushers: PusherActor[];
  /** One on each instance, that sees everybody come and go. */
  readonly watchers: readonly Actor[];
  readonly limits: { readonly connectionsPerUser: number; readonly newestWins: "off" | "user" };
  /** Continuity of channels may break, so that some pushes are missed. */
  readonly breaks: boolean;
  readonly history: string[];
}
