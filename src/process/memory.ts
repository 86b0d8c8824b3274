import { totalmem } from "node:os";
import process from "node:process";

const NAME = "BUN_JSC_forceRAMSize";

/**
 * What to add to the environment of each of so many processes that share this machine, so that Bun's JavaScript engine
 * reckons with its part of the memory. Left to itself it takes all of it for its own: from 16 GiB on it lets garbage grow
 * to twice of what lives before it looks for any, and leaves the holes (JavaScriptCore, heap/Heap.cpp,
 * `aggressiveHeapThresholdInMB`); 10,000 connections with an inbox took 6.4 KB each that way, and 5.6 KB with this. Nothing
 * where the variable is set already; other runtimes do not know it.
 */
export function memoryShare(
  processes: number,
  totalBytes = totalmem(),
  env: Readonly<Record<string, string | undefined>> = process.env,
): Readonly<Record<string, string>> {
  return env[NAME] ? {} : { [NAME]: `${Math.floor(totalBytes / Math.max(1, processes))}` };
}
