import process from "node:process";
import { fileURLToPath } from "node:url";
import { printError } from "../src/cli/output.ts";
import { Children } from "../src/process/children.ts";
import { type Allocations, allocations } from "./allocations-stage.ts";
import { aligned } from "./markdown.ts";

/*
 * Counts the bytes of heap that a message and a connect take on their way, and fails where that is more than its budget:
 * `bun bench/allocations.ts` (a few seconds; needs nats-server and redis-server). What is taken is collected later, in pauses
 * of 1 to 4 ms that the slowest hundredth of messages waits for.
 */

/** Without collections, which only a process that is started so has, the heap grows by what is taken. */
const WITHOUT_COLLECTIONS = { BUN_JSC_useGC: "false" };

/** A tenth above what is measured today, bytes. */
const BUDGETS: Readonly<Record<"memory" | "nats", Allocations>> = {
  memory: { message: 6_000, connect: 16_000 },
  nats: { message: 12_000, connect: 23_000 },
};

if (process.env.BUN_JSC_useGC === WITHOUT_COLLECTIONS.BUN_JSC_useGC) await measure();
else {
  const child = Bun.spawn([process.execPath, fileURLToPath(import.meta.url)], {
    env: { ...process.env, ...WITHOUT_COLLECTIONS },
    stdio: ["inherit", "inherit", "inherit"],
  });
  process.exitCode = await child.exited;
}

async function measure(): Promise<void> {
  await using children = new Children();
  const rows: string[][] = [["bytes of heap", "broker", "measured", "budget"]];
  let over = false;
  for (const driver of ["memory", "nats"] as const) {
    const taken = await allocations(driver, children);
    for (const what of ["message", "connect"] as const) {
      const budget = BUDGETS[driver][what];
      if (taken[what] > budget) over = true;
      const numbers = [taken[what], budget].map((bytes) => Math.round(bytes).toLocaleString("en"));
      rows.push([`a ${what}`, driver, ...numbers]);
    }
  }
  console.log(aligned(rows).join("\n"));
  if (!over) return;
  printError("more is taken than its budget");
  process.exitCode = 1;
}
