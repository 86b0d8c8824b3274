import process from "node:process";
import PusherServer from "pusher";
import page from "./index.html";

/** Where the gateway is; `npx trunkline dev --config trunkline.json` prints it. */
const GATEWAY = new URL(process.env.GATEWAY ?? "http://localhost:8080");

const pusher = new PusherServer({
  appId: "1",
  key: "shop-key",
  secret: "shop-secret-of-the-example",
  host: GATEWAY.hostname,
  port: GATEWAY.port,
  useTLS: GATEWAY.protocol === "https:",
});

const server = Bun.serve({
  port: Number(process.env.PORT ?? 3000),
  routes: {
    "/": page,
    "/gateway": () => new Response(GATEWAY.href),
    // Laravel's BroadcastController with channels.php: may whoever asks follow this order?
    "/broadcasting/auth": {
      async POST(request) {
        const form = new URLSearchParams(await request.text());
        const channel = form.get("channel_name") ?? "";
        if (!/^private-orders\.[1-9]\d*$/.test(channel)) return new Response(null, { status: 403 });
        return Response.json(pusher.authorizeChannel(form.get("socket_id") ?? "", channel));
      },
    },
    // broadcast(new OrderShipped($order)) in a controller.
    "/orders/:id/ship": {
      async POST({ params }) {
        const event = "App\\Events\\OrderShipped";
        await pusher.trigger(`private-orders.${params.id}`, event, { status: "shipped" });
        return new Response(null, { status: 204 });
      },
    },
  },
});
console.log(`listening on ${server.url}`);
