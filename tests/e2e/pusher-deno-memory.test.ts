import { pusherContract } from "../contract/pusher.ts";
import { startInstance } from "../helpers/instances.ts";
import { PUSHER_CONFIG } from "../helpers/pusher-clients.ts";

pusherContract("Pusher on Deno: one instance with everything embedded", async () => {
  const a = await startInstance({ config: PUSHER_CONFIG, runtime: "deno" });
  return { a, b: a, [Symbol.asyncDispose]: () => a[Symbol.asyncDispose]() };
});
