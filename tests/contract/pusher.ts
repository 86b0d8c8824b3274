import { afterAll, beforeAll, describe } from "bun:test";
import { pusherClient, pusherServer } from "../helpers/pusher-clients.ts";
import type { EdgeWorld } from "./edge-context.ts";
import { pusherChannelTests } from "./pusher-channels.ts";
import { pusherConnectionTests } from "./pusher-connections.ts";
import type { PusherContext } from "./pusher-context.ts";
import { pusherUserTests } from "./pusher-users.ts";

let next = 0;

/**
 * What stock clients of the Pusher protocol must be able to do, over the wire, whatever broker, presence and runtime
 * are behind it. The instances have the settings `PUSHER_CONFIG`.
 */
export function pusherContract(name: string, make: () => Promise<EdgeWorld>): void {
  describe(name, () => {
    let world: EdgeWorld;
    beforeAll(async () => {
      world = await make();
    }, 60_000);
    afterAll(async () => {
      await world?.[Symbol.asyncDispose]();
    });
    const context: PusherContext = {
      world: () => world,
      client: (options, instance = "a") => pusherClient(world[instance], options),
      server: () => pusherServer(world.b.url),
      fresh: (prefix) => `${prefix}t${process.pid}-${next++}`,
    };
    pusherConnectionTests(context);
    pusherChannelTests(context);
    pusherUserTests(context);
  });
}
