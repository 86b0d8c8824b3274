import { createServer } from "node:http";
import process from "node:process";
import { Server } from "socket.io";

/*
 * A control: the same as control-ws.mjs, with Socket.IO under Node. A channel is a room; WebSocket alone, as its own
 * page on performance advises, and nothing is compressed or kept for those who come back.
 */

let offset = 0;

const server = createServer((request, response) => {
  const channel = new URL(request.url ?? "", "http://x").searchParams.get("channel") ?? "";
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (chunk) => {
    body += chunk;
  });
  request.on("end", () => {
    push(channel, JSON.parse(body));
    response.end("{}");
  });
});

const io = new Server(server, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });

// Frees the request of the handshake, as its page on memory usage advises.
io.engine.on("connection", (socket) => {
  socket.request = null;
});

/**
 * @param {string} channel
 * @param {unknown} data
 */
function push(channel, data) {
  io.to(channel).emit("message", { channel, offset: ++offset, data });
}

io.on("connection", (socket) => {
  const { channel } = socket.handshake.auth;
  if (channel !== "") socket.join(channel);
  socket.on("publish", (to, data, done) => {
    push(to, data);
    done();
  });
});

const host = process.env.HOST ?? "127.0.0.1";
server.listen(Number(process.env.PORT ?? 0), host, () => {
  const address = server.address();
  if (address && typeof address === "object") console.log(`ws://${host}:${address.port}`);
});
