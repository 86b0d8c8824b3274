import { createServer } from "node:http";
import process from "node:process";
import { WebSocketServer } from "ws";

/*
 * A control: the same as control-bun.ts, with `ws` under Node. Each channel is a Set of sockets; a message is made once
 * and written to each, as the library's own documentation does it.
 */

/** @type {Map<string, Set<import("ws").WebSocket>>} */
const channels = new Map();
let offset = 0;

/**
 * @param {string} channel
 * @param {string} data JSON
 */
function push(channel, data) {
  const text = `{"push":{"channel":${JSON.stringify(channel)},"pub":{"offset":${++offset},"data":${data}}}}`;
  for (const socket of channels.get(channel) ?? []) socket.send(text);
}

const server = createServer((request, response) => {
  const channel = new URL(request.url ?? "", "http://x").searchParams.get("channel") ?? "";
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (chunk) => {
    body += chunk;
  });
  request.on("end", () => {
    push(channel, body);
    response.end("{}");
  });
});

const sockets = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: false });
sockets.on("connection", (socket, request) => {
  const channel = new URL(request.url ?? "", "http://x").searchParams.get("channel");
  if (channel !== null) {
    const members = channels.get(channel) ?? new Set();
    channels.set(channel, members.add(socket));
    socket.on("close", () => {
      members.delete(socket);
      if (members.size === 0) channels.delete(channel);
    });
  }
  socket.on("error", () => {});
  socket.on("message", (text) => {
    const { id, publish } = JSON.parse(String(text));
    push(publish.channel, JSON.stringify(publish.data));
    socket.send(`{"id":${id},"publish":{}}`);
  });
});

const host = process.env.HOST ?? "127.0.0.1";
// Node's own backlog of 511 is as long as the others'.
server.listen(Number(process.env.PORT ?? 0), host, () => {
  const address = server.address();
  if (address && typeof address === "object") console.log(`ws://${host}:${address.port}`);
});
