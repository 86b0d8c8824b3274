/*
 * The limit of the stack, as a control: the least a Bun server can do for a channel. An upgrade subscribes to one topic,
 * and a POST to /publish sends its body to all, in a push like the product's. The first line it prints is its address.
 */

const TOPIC = "bench";
let offset = 0;

const server = Bun.serve({
  hostname: process.env.HOST ?? "127.0.0.1",
  port: Number(process.env.PORT ?? 0),
  development: false,
  async fetch(request, self) {
    if (request.method === "POST") {
      const push = `{"push":{"channel":"${TOPIC}","pub":{"offset":${++offset},"data":${await request.text()}}}}`;
      self.publish(TOPIC, push);
      return new Response("{}");
    }
    return self.upgrade(request) ? undefined : new Response("upgrade expected\n", { status: 426 });
  },
  // The same settings as the product's.
  websocket: {
    perMessageDeflate: false,
    closeOnBackpressureLimit: true,
    idleTimeout: 960,
    sendPings: false,
    open: (socket) => void socket.subscribe(TOPIC),
    message: () => {},
  },
});

console.log(`ws://${server.hostname}:${server.port}`);
