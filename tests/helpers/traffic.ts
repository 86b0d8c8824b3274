import { testClient } from "./clients.ts";
import type { TestInstance } from "./instances.ts";

/** Clients in rooms, and what is said there for some seconds: something to be seen in pictures. */
export async function traffic(...instances: readonly TestInstance[]): Promise<void> {
  for (let n = 0; n < 14; n++) {
    const at = instances[n % 3 === 0 ? instances.length - 1 : 0]!;
    const client = testClient(at.websocket, { user: `u${n % 9}` });
    await client.connected();
    await client.subscribe(`chat:room.${n % 4}`);
  }
  for (let n = 0; n < 300; n++) {
    await instances[0]!.api("publish", { channel: `chat:room.${n % 4}`, data: { n } });
    await new Promise((resolve) => setTimeout(resolve, 20 + 30 * Math.sin(n / 25) ** 2));
  }
}
