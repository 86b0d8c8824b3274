import process from "node:process";
import { createTrunkline } from "trunkline";
import page from "./index.html";

// The gateway runs in this process. Cursors are worth nothing a second later, so nothing is kept of them.
const trunkline = await createTrunkline({
  settings: {
    log: { level: "warn" },
    namespaces: {
      board: {
        publish: "subscriber",
        presence: true,
        presenceGrace: "0s",
        joinLeave: "user",
        publishRate: 40,
      },
    },
  },
  // No accounts here: whoever comes is somebody, with a color of their own.
  connect: () => ({
    user: crypto.randomUUID(),
    info: { color: `hsl(${Math.floor(Math.random() * 360)} 80% 45%)` },
  }),
});

const server = Bun.serve({
  port: Number(process.env.PORT ?? 3000),
  routes: { "/": page },
  fetch: (request, server) => trunkline.fetch(request, server),
  websocket: trunkline.websocket,
});
console.log(`listening on ${server.url}`);
