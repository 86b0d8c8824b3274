/** An app's test of its gateway, as Deno runs it: prints what a stock client got. */
import process from "node:process";
import { Centrifuge } from "centrifuge";
import { testTrunkline, until } from "../../src/library/testing.ts";

const trunkline = await testTrunkline();
const client = new Centrifuge(trunkline.websocketUrl);
const received: unknown[] = [];
const room = client.newSubscription("chat:1");
const subscribed = new Promise((resolve) => room.on("subscribed", resolve));
room.on("publication", ({ data }) => received.push(data));
room.subscribe();
client.connect();
await subscribed;
await trunkline.publish("chat:1", "hello");
await until(() => received.length > 0);
console.log(JSON.stringify(received));
client.disconnect();
await trunkline.close();
process.exit(0);
