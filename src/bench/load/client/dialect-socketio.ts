import { type Dialect, type Incoming, NOWHERE, toMessage } from "./dialect.ts";

/**
 * Socket.IO protocol v5 over Engine.IO v4, by WebSocket alone (no long polling first): the first character is the
 * packet type of Engine.IO, and in its messages (`4`) the second one that of Socket.IO
 * (https://github.com/socketio/engine.io-protocol, https://github.com/socketio/socket.io-protocol).
 */
export const socketio: Dialect = {
  path: () => "/socket.io/?EIO=4&transport=websocket",
  hello: (_, { listens }) => `40${JSON.stringify({ channel: listens })}`,
  publish: (id, channel, body) => `42${id}${JSON.stringify(["publish", channel, body])}`,
  pong: "3",
  read(text) {
    const [, type = "", id = "", rest = ""] = /^(4\d|\d)(\d*)(.*)$/s.exec(text) ?? [];
    return interpret(type, Number(id), rest);
  },
};

/** Name of the control server's only event. */
const EVENT = "message";

function interpret(type: string, id: number, rest: string): Incoming[] {
  switch (type) {
    case "0": // the connection's parameters
    case "6":
      return [];
    case "2":
      return [{ kind: "ping" }];
    case "40":
      return [{ kind: "joined", ...NOWHERE }];
    case "42": {
      const [event, pub] = JSON.parse(rest) as [string, { data: unknown; offset?: number }];
      const message = event === EVENT ? toMessage(pub.data, pub.offset) : undefined;
      return message ? [message] : [];
    }
    case "43":
      return [{ kind: "done", id }];
    case "44":
      return [{ kind: "refused", id: 0, reason: `refused: ${rest}` }];
    case "1":
    case "41":
      return [{ kind: "refused", id: 0, reason: "disconnected by the server" }];
    default:
      throw new SyntaxError("not a packet of Socket.IO");
  }
}
