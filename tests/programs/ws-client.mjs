// A stock centrifuge-js on Node with the package `ws`, which offers compression: run as `node ws-client.mjs URL ENCODING CHANNEL`.
// Prints what was agreed on and what the subscription got, one JSON line each.
import { Centrifuge } from "centrifuge";
import { Centrifuge as ProtobufCentrifuge } from "centrifuge/build/protobuf";
import WebSocket from "ws";

const [url, encoding, channel] = process.argv.slice(2);
const print = (line) => console.log(JSON.stringify(line));
let bytes = 0;

class Reporting extends WebSocket {
  constructor(...args) {
    super(...args);
    this.on("open", () => {
      print({ extensions: this.extensions });
      this._socket.on("data", (chunk) => {
        bytes += chunk.length;
      });
    });
  }
}

const Client = encoding === "protobuf" ? ProtobufCentrifuge : Centrifuge;
const client = new Client(url, { websocket: Reporting });
const plain = (data) => (data instanceof Uint8Array ? JSON.parse(new TextDecoder().decode(data)) : data);
const sub = client.newSubscription(channel);
sub.on("publication", ({ data }) => print({ got: plain(data), bytes }));
sub.on("subscribed", async () => {
  const text = "sent ".repeat(400);
  const data = encoding === "protobuf" ? new TextEncoder().encode(JSON.stringify(text)) : text;
  await sub.publish(data);
  print({ ready: true });
});
client.on("disconnected", (why) => print({ disconnected: why }));
client.on("error", (error) => print({ error: String(error.error?.message) }));
sub.subscribe();
client.connect();
