// A stock client in Node: subscribes to a channel and prints one JSON line for each thing that happens.
import { Centrifuge } from "centrifuge";

const [urls, token, channel] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));
const client = new Centrifuge(
  urls.split(",").map((endpoint) => ({ transport: "websocket", endpoint })),
  {
    token,
    websocket: globalThis.WebSocket ?? (await import("ws")).default,
    minReconnectDelay: 50,
    maxReconnectDelay: 500,
  },
);
const sub = client.newSubscription(channel);
sub.on("publication", ({ data, offset }) => say({ n: data.n, offset }));
sub.on("subscribed", ({ wasRecovering, recovered }) => say({ subscribed: true, wasRecovering, recovered }));
client.on("disconnected", ({ code }) => say({ disconnected: code }));
sub.subscribe();
client.connect();
process.on("SIGTERM", () => process.exit(0));
