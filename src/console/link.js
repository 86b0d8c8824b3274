/**
 * The page's own cable. The stock client opens its sockets through `socketClass`, so the page can pull the plug below
 * it, as a network would: the client is told nothing but what a closed socket tells it.
 */
export class Link {
  /** Where the stock client looks for `online` and `offline`. */
  network = new EventTarget();
  socketClass;
  #sockets = new Set();
  /** "up" | "cut" */
  #state = "up";
  #timer = 0;
  #relay = ({ type }) => this.network.dispatchEvent(new Event(type));

  /** @param onNode told the instance's id, once for each connection, as the connect answer names it */
  constructor(onNode) {
    const link = this;
    // Called with `new`, which no arrow function bears.
    function Socket(url) {
      return link.#state === "cut" ? new DeadSocket() : link.#open(url, onNode);
    }
    this.socketClass = Socket;
    addEventListener("online", this.#relay);
    addEventListener("offline", this.#relay);
  }

  /** Closes every socket and lets none through for `ms`; then says that the network is back. */
  cut(ms, onRestore) {
    clearTimeout(this.#timer);
    this.#state = "cut";
    for (const socket of this.#sockets) socket.close();
    this.#timer = setTimeout(() => {
      this.#state = "up";
      onRestore();
      this.network.dispatchEvent(new Event("online"));
    }, ms);
  }

  #open(url, onNode) {
    const socket = new WebSocket(url);
    this.#sockets.add(socket);
    socket.addEventListener("close", () => this.#sockets.delete(socket));
    // The stock client keeps the answer's `node` to itself.
    const watch = ({ data }) => {
      const node = nodeIn(data);
      if (node === undefined) return;
      socket.removeEventListener("message", watch);
      onNode(node);
    };
    socket.addEventListener("message", watch);
    return socket;
  }

  close() {
    clearTimeout(this.#timer);
    removeEventListener("online", this.#relay);
    removeEventListener("offline", this.#relay);
  }
}

/** A socket opened while the link is cut: it fails like one without a network. */
class DeadSocket {
  onclose = null;

  constructor() {
    setTimeout(() => this.onclose?.({ code: 1006, reason: "" }));
  }

  send() {}
  close() {}
}

function nodeIn(frame) {
  for (const line of String(frame).split("\n")) {
    if (!line.includes('"connect"')) continue;
    const { connect } = JSON.parse(line);
    if (connect) return connect.node ?? "";
  }
  return undefined;
}
