import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { Centrifuge } from "centrifuge";
import Pusher from "pusher-js";

/*
 * Stock clients of one family, in a process of their own: `bench/drain-families.ts` tells it to connect them, and asks
 * when each lost its connection and was back.
 */

export type Family = "centrifuge" | "pusher";

export type DrainOrder =
  | {
      readonly kind: "open";
      readonly family: Family;
      readonly port: number;
      readonly clients: number;
      /** Key of the Pusher app. */
      readonly key: string;
      readonly channel: string;
    }
  | { readonly kind: "report" };

/** Times by the wall clock, ms. */
export interface DrainTimes {
  readonly gone: readonly number[];
  readonly back: readonly number[];
  /** From one to the other. */
  readonly tookMs: readonly number[];
  /** Processor time of the process so far: near one processor, the clients are the limit. */
  readonly cpuMs: number;
}

/** Clients that connect at the same time. */
const AT_ONCE = 100;

const gone: number[] = [];
const back: number[] = [];
const tookMs: number[] = [];
let open = 0;

/** One client is there; returns what to call when it has gone. */
function there(lostAt: number | undefined): void {
  open++;
  if (lostAt === undefined) return;
  const now = Date.now();
  back.push(now);
  tookMs.push(now - lostAt);
}

function lost(): number {
  const now = Date.now();
  gone.push(now);
  open--;
  return now;
}

const start: Readonly<Record<Family, (order: Extract<DrainOrder, { kind: "open" }>) => void>> = {
  centrifuge({ port, channel }) {
    const client = new Centrifuge(`ws://127.0.0.1:${port}/connection/websocket`, { websocket: WebSocket });
    let lostAt: number | undefined;
    client.on("connected", () => there(lostAt));
    client.on("connecting", ({ code }) => {
      if (code !== 0) lostAt = lost(); // 0: its first connect
    });
    client.newSubscription(channel).subscribe();
    client.connect();
  },
  pusher({ port, key, channel }) {
    const client = new Pusher(key, {
      ...{ wsHost: "127.0.0.1", wsPort: port, forceTLS: false, cluster: "" },
      ...{ enabledTransports: ["ws"], enableStats: false },
    });
    let lostAt: number | undefined;
    client.connection.bind("connected", () => there(lostAt));
    // Its state says that it is connected until it tries again; this comes when it begins to wait for that.
    client.connection.bind("connecting_in", () => {
      if (client.connection.state === "connected") lostAt = lost();
    });
    client.subscribe(channel);
  },
};

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

process.on("disconnect", () => process.exit());
process.on("message", (order: DrainOrder) => {
  if (order.kind === "report") process.send?.({ gone, back, tookMs, cpuMs: cpuMs() } satisfies DrainTimes);
  else {
    void (async () => {
      for (let n = 0; n < order.clients; n++) {
        start[order.family](order);
        while (n + 1 - open >= AT_ONCE) await sleep(5);
      }
      while (open < order.clients) await sleep(5);
      process.send?.({ open });
    })();
  }
});
