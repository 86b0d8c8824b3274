import { Ledger } from "./ledger.js";
import { Link } from "./link.js";
import { Outbox } from "./outbox.js";

/** Messages shown from before one came in. */
const EARLIER = 30;

/** The close code of a connection whose place a newer one of its user has taken. */
const REPLACED = 4501;

/** How often what arrived is compared with the store, ms. */
const CHECK_MS = 1000;

/**
 * One stay in one room over one connection: the stock client, its subscription, and what the page proves with them.
 * `on` is told what happens: `state(name, detail)`, `place({instance})`, `earlier(publications)`,
 * `message(publication, {own, recovered})`, `note(text, tone)`, `recovery({recovered, missed, ms})`,
 * `presence(self, ask)`, `presenceChange(kind, info)`, `inbox(publication)`, `outbox(entries)`, `restored()`, `replaced()` when
 * a newer connection of the user has taken this one's place, and `changed()` after anything countable.
 */
export class Room {
  ledger = new Ledger();
  channel;
  user;
  #on;
  #link;
  #client;
  #sub;
  #outbox;
  #checking;
  /** Ids this page's connections have had: what they sent is its own. */
  #clients = new Set();
  /** While recovered messages are handed over: how many so far. */
  #recovering;
  #brokenAt = 0;

  /**
   * @param token the first token
   * @param refreshable `() => Promise<string>`: the next ones; absent when there will be none
   * @param name of the room, as in `chat:room.<name>`
   */
  constructor({ user, token, refreshable, name, on }) {
    this.user = user;
    this.channel = `chat:room.${name}`;
    this.#on = on;
    this.#link = new Link((instance) => on.place({ instance }));
    this.#outbox = new Outbox({
      ready: () => this.#sub.state === "subscribed",
      send: ({ id, data }) => this.#client.rpc("trunkline.publish", { channel: this.channel, id, data }),
      onRefused: ({ data }, { code, message }) =>
        on.note(`“${data.text}” was refused: ${message} (${code})`, "bad"),
      onChange: () => on.outbox(this.#outbox.entries),
    });
    this.#client = this.#connect(token, refreshable);
    this.#sub = this.#subscribe();
    this.#checking = setInterval(() => this.#check(), CHECK_MS);
    this.#sub.subscribe();
    this.#client.connect();
  }

  /** Sends a message, or keeps it until the link is back. */
  send(text) {
    this.#outbox.add(text);
  }

  /** Breaks the link for `ms`. */
  cut(ms) {
    this.#link.cut(ms, () => this.#on.restored());
  }

  leave() {
    clearInterval(this.#checking);
    this.#outbox.clear();
    this.#client.disconnect();
    this.#link.close();
  }

  #connect(token, refreshable) {
    const { protocol, host } = location;
    const client = new window.Centrifuge(`${protocol.replace("http", "ws")}//${host}/connection/websocket`, {
      token,
      ...(refreshable && { getToken: refreshable }),
      name: "demo",
      minReconnectDelay: 200,
      maxReconnectDelay: 5000,
      websocket: this.#link.socketClass,
      networkEventTarget: this.#link.network,
    });
    client.on("connecting", ({ code, reason }) => {
      // Code 0 is the page's own wish to connect; anything else is a link that was lost.
      if (code !== 0) this.#brokenAt ||= performance.now();
      this.#on.state("connecting", code === 0 ? "" : reason);
    });
    client.on("connected", ({ client: id }) => {
      this.#clients.add(id);
      this.#on.state("connected", "");
    });
    client.on("disconnected", ({ code, reason }) =>
      code === REPLACED ? this.#on.replaced() : this.#on.state("disconnected", `${reason} (${code})`),
    );
    // A server-side subscription: the user's own inbox.
    client.on("publication", (publication) => this.#on.inbox(publication));
    return client;
  }

  #subscribe() {
    const sub = this.#client.newSubscription(this.channel, {
      positioned: true,
      recoverable: true,
      joinLeave: true,
    });
    sub.on("subscribed", (context) => this.#subscribed(context));
    sub.on("publication", (publication) => this.#arrived(publication));
    sub.on("join", ({ info }) => this.#on.presenceChange("join", info));
    sub.on("leave", ({ info }) => this.#on.presenceChange("leave", info));
    sub.on("unsubscribed", ({ code, reason }) => {
      if (code !== 0) this.#on.state("disconnected", `not subscribed: ${reason} (${code})`);
    });
    return sub;
  }

  #subscribed({ wasRecovering, recovered, streamPosition }) {
    const ms = this.#brokenAt && performance.now() - this.#brokenAt;
    this.#brokenAt = 0;
    if (wasRecovering && recovered) {
      // The stock client hands the missed messages over synchronously, right after this event.
      this.#recovering = 0;
      queueMicrotask(() => {
        const missed = this.#recovering;
        this.#recovering = undefined;
        this.#on.recovery({ recovered: true, missed, ms });
        void this.#check();
      });
    } else {
      this.ledger.begin(streamPosition ?? { epoch: "", offset: 0 });
      if (wasRecovering) this.#on.recovery({ recovered: false, missed: 0, ms });
      void this.#earlier();
    }
    this.#on.presence(this.user, () => this.#sub.presence());
    this.#outbox.flush();
    this.#on.changed();
  }

  #arrived(publication) {
    const { data, info, offset } = publication;
    const recovered = this.#recovering !== undefined;
    const fresh = this.ledger.arrived(offset);
    if (fresh && recovered) this.#recovering++;
    if (fresh) {
      const own = this.#clients.has(info?.client);
      const entry = own ? this.#outbox.arrived(data) : undefined;
      // What was sent again or waited for the link says nothing about the way there and back.
      if (entry?.tries === 1 && !recovered) this.ledger.timed(performance.now() - entry.firstTryAt);
      this.#on.message(publication, { own, recovered });
    }
    this.#on.changed();
  }

  async #earlier() {
    const { epoch, offset } = this.ledger;
    try {
      const page = await this.#sub.history({ limit: EARLIER, reverse: true });
      if (page.epoch !== epoch || this.ledger.epoch !== epoch) return;
      this.#on.earlier(page.publications.filter((publication) => publication.offset <= offset).reverse());
    } catch ({ message }) {
      this.#on.note(`earlier messages could not be read: ${message}`, "bad");
    }
  }

  async #check() {
    if (this.ledger.fullyChecked || this.#sub.state !== "subscribed") return;
    try {
      await this.ledger.check((options) => this.#sub.history(options));
    } catch {
      // The link broke meanwhile: what is unchecked stays so until the next time.
    }
    this.#on.changed();
  }
}
