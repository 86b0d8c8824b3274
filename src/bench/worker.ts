import process from "node:process";
import { dialects } from "./dialect.ts";
import type { Order, Reply, Request } from "./orders.ts";
import { Swarm } from "./swarm.ts";
import type { Report } from "./tally.ts";
import { signTokens } from "./tokens.ts";

/*
 * A process of the load generator: holds a part of the clients and does what its fleet orders over the IPC channel.
 * It lives exactly as long as that channel.
 */

const PROGRESS_MS = 100;
const STALLED_MS = 15_000;

let swarm: Swarm | undefined;

async function carryOut(order: Order): Promise<Report | undefined> {
  if (order.kind === "gather") {
    const { secret, dialect, count } = order;
    const tokens = secret === "" ? new Array<string>(count).fill("") : await signTokens(order);
    swarm = new Swarm({ ...order, dialect: dialects[dialect], tokens, stalledMs: STALLED_MS });
    return undefined;
  }
  if (!swarm) throw new Error("the first order must be to gather");
  switch (order.kind) {
    case "open":
      await swarm.open();
      return undefined;
    case "drop":
      swarm.drop();
      return undefined;
    case "settle":
      swarm.settle(order.upTo);
      return undefined;
    case "report":
      return swarm.tally.take();
  }
}

function reply(message: Reply): void {
  process.send?.(message);
}

process.on("disconnect", () => process.exit());
process.on("message", ({ id, order }: Request) => {
  carryOut(order).then(
    (report) => reply({ id, report }),
    (error: Error) => reply({ id, error: error.message }),
  );
});

let reported = "";
setInterval(() => {
  if (!swarm) return;
  const { joined, failed, messages } = swarm.tally.counts;
  const progress = { settled: joined + failed, messages };
  const text = `${progress.settled} ${progress.messages}`;
  if (text !== reported) reply({ id: 0, progress });
  reported = text;
}, PROGRESS_MS);
