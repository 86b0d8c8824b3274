// A stock pusher-js client in Node: subscribes to a channel and prints one JSON line for each message.
import Pusher from "pusher-js";

const [port, channel] = process.argv.slice(2);
const pusher = new Pusher("shop-key", {
  wsHost: "127.0.0.1",
  wsPort: Number(port),
  forceTLS: false,
  enabledTransports: ["ws"],
  cluster: "",
});
pusher.connection.bind("message", (message) => console.log(JSON.stringify(message)));
pusher.subscribe(channel);
