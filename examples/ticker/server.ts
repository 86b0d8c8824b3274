import process from "node:process";
import { createTrunkline } from "trunkline";
import { startFeed } from "./feed.ts";
import page from "./index.html";

const trunkline = await createTrunkline({
  settings: {
    log: { level: "warn" },
    auth: { anonymous: true },
    namespaces: {
      prices: {
        subscribe: "anyone",
        historyAccess: "subscriber",
        history: { size: 200, age: "1h" },
        // A dashboard draws ten times a second. Of each symbol it needs the newest price alone.
        window: "100ms",
        conflate: "key",
      },
    },
  },
});

const feed = startFeed((quote) =>
  trunkline.publish("prices:all", quote, { tags: { key: quote.symbol } }).then(() => undefined),
);
const server = Bun.serve({
  port: Number(process.env.PORT ?? 3000),
  routes: { "/": page, "/feed": () => Response.json(feed) },
  fetch: (request, server) => trunkline.fetch(request, server),
  websocket: trunkline.websocket,
});
console.log(`listening on ${server.url}`);
