import { tokenOf } from "./control.js";

/** This page's own. */
const CHANNEL = `chat:world.${crypto.randomUUID().slice(0, 8)}`;

/**
 * One stock client with a home region and a list of endpoints, the nearest first. `on` is told: `moved()`,
 * `message(data, client)`.
 *
 * centrifuge-js goes down a list of endpoints until it has been connected once, and stays with that one from then on; in
 * production the name of one endpoint leads to the nearest living region (anycast, latency DNS). Here the socket does
 * it: each attempt that fails goes to the next one, and each new search begins at home.
 */
export class Client {
  name;
  home;
  /** The region it is connected to; undefined while there is none. */
  region;
  received = new Set();
  duplicates = 0;
  #endpoints;
  #attempt = 0;
  #socket;
  #client;
  #sub;
  #on;

  /** @param endpoints `[{region, url}]`, the nearest first */
  constructor({ name, home, endpoints, on }) {
    this.name = name;
    this.home = home;
    this.#endpoints = endpoints;
    this.#on = on;
    this.#client = new window.Centrifuge(endpoints[0].url, {
      getToken: () => tokenOf(name),
      name: "world",
      minReconnectDelay: 100,
      maxReconnectDelay: 1000,
      timeout: 8000,
      websocket: this.#socketClass(),
    });
    this.#client.on("connecting", () => this.#moved(undefined));
    this.#client.on("connected", () => this.#moved(this.#endpoint.region));
    this.#sub = this.#client.newSubscription(CHANNEL, { recoverable: true, positioned: true });
    this.#sub.on("publication", ({ data }) => this.#arrived(data));
  }

  async join() {
    const joined = new Promise((resolve) => this.#sub.once("subscribed", resolve));
    this.#sub.subscribe();
    this.#client.connect();
    await joined;
  }

  /** Ready to publish. */
  get ready() {
    return this.region !== undefined && this.#sub.state === "subscribed";
  }

  /** Away from home, as far as it knows. */
  get away() {
    return this.region !== undefined && this.region !== this.home;
  }

  /** Resolves once it is stored; the id makes a second try harmless. */
  async publish(id, data) {
    await this.#client.rpc("trunkline.publish", { channel: CHANNEL, id, data });
  }

  /** Looks for the nearest region again. What is published meanwhile is not lost: it resumes by its position. */
  goHome() {
    this.#attempt = 0;
    this.#socket?.close();
  }

  get #endpoint() {
    return this.#endpoints[this.#attempt % this.#endpoints.length];
  }

  #socketClass() {
    const client = this;
    return class extends WebSocket {
      constructor() {
        super(client.#endpoint.url);
        client.#socket = this;
        let opened = false;
        this.addEventListener("open", () => {
          opened = true;
        });
        this.addEventListener("close", () => {
          client.#attempt = opened ? 0 : client.#attempt + 1;
        });
      }
    };
  }

  #moved(region) {
    if (region === this.region) return;
    this.region = region;
    this.#on.moved(this);
  }

  #arrived(data) {
    if (typeof data?.id !== "string") return;
    if (this.received.has(data.id)) this.duplicates++;
    this.received.add(data.id);
    this.#on.message(data, this);
  }
}
