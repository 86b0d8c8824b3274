import process from "node:process";

/*
 * The limit of the stack, as a control: the least a Bun server can do for channels. An upgrade subscribes to the channel
 * of its query; a POST to /publish sends its body to all, in a push like the product's; a client publishes with a
 * command like the product's. The first line it prints is its address.
 */

let offset = 0;

function push(channel: string, data: string): void {
  server.publish(
    channel,
    `{"push":{"channel":${JSON.stringify(channel)},"pub":{"offset":${++offset},"data":${data}}}}`,
  );
}

const server = Bun.serve<string | null>({
  hostname: process.env.HOST ?? "127.0.0.1",
  port: Number(process.env.PORT ?? 0),
  development: false,
  async fetch(request, self) {
    const channel = new URL(request.url).searchParams.get("channel");
    if (request.method === "POST") {
      push(channel ?? "", await request.text());
      return new Response("{}");
    }
    return self.upgrade(request, { data: channel })
      ? undefined
      : new Response("upgrade expected\n", { status: 426 });
  },
  // The same settings as the product's.
  websocket: {
    perMessageDeflate: false,
    closeOnBackpressureLimit: true,
    idleTimeout: 960,
    sendPings: false,
    open(socket) {
      if (socket.data !== null) socket.subscribe(socket.data);
    },
    message(socket, text) {
      const { id, publish } = JSON.parse(String(text));
      push(publish.channel, JSON.stringify(publish.data));
      socket.send(`{"id":${id},"publish":{}}`);
    },
  },
});

console.log(`ws://${server.hostname}:${server.port}`);
