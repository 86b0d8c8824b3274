import process from "node:process";
import { unreachable } from "../../core/unreachable.ts";
import type { Report } from "../tally.ts";
import { tokenMaker } from "../tokens.ts";
import { dialects } from "./client/dialects.ts";
import { Swarm } from "./client/swarm.ts";
import type { Order, WorkerReply, WorkerRequest } from "./orders.ts";

/*
 * A process of the load generator: holds a part of the clients and does what its fleet orders over the IPC channel.
 * It lives exactly as long as that channel.
 */

const PROGRESS_MS = 100;
const STALLED_MS = 15_000;
/** A worker is stopped by ending its process. */
const NEVER = new AbortController().signal;

let swarm: Swarm | undefined;

async function carryOut(order: Order): Promise<Report | undefined> {
  if (order.kind === "gather") {
    const { dialect } = order;
    swarm = new Swarm({
      ...order,
      dialect: dialects[dialect],
      token: tokenMaker(order),
      stalledMs: STALLED_MS,
    });
    return undefined;
  }
  if (!swarm) throw new Error("the first order must be to gather");
  switch (order.kind) {
    case "open":
      await swarm.open(order.share);
      return undefined;
    case "reopen":
      await swarm.reopen(order.avoidPort);
      return undefined;
    case "drop":
      swarm.drop(order.step);
      return undefined;
    case "churn":
      await swarm.churn(order, NEVER);
      return undefined;
    case "change":
      await swarm.change(order, NEVER);
      return undefined;
    case "publish":
      await swarm.publish(order, NEVER);
      return undefined;
    case "settle":
      swarm.settle(order.each);
      return undefined;
    case "settleChains":
      swarm.settleChains(order.newest);
      return undefined;
    case "report":
      return swarm.tally.take();
    default:
      return unreachable(order);
  }
}

function reply(message: WorkerReply): void {
  process.send?.(message);
}

process.on("disconnect", () => process.exit());
process.on("message", ({ id, order }: WorkerRequest) => {
  carryOut(order).then(
    (report) => reply({ id, report }),
    (error: Error) => reply({ id, error: error.message }),
  );
});

let reported = "";
setInterval(() => {
  if (!swarm) return;
  const { joined, failed, messages, published, refused } = swarm.tally.counts;
  const progress = { settled: joined + failed, messages, answered: published + refused };
  const text = Object.values(progress).join();
  if (text !== reported) reply({ id: 0, progress });
  reported = text;
}, PROGRESS_MS);
