import type { Runtime } from "../runtime/runtime.ts";

/** The adapter of the runtime this process runs on. @throws Error on any other than Bun and Deno */
export async function detectRuntime(): Promise<Runtime> {
  if ("Bun" in globalThis) return (await import("../runtime/bun/bun.ts")).bunRuntime();
  if ("Deno" in globalThis) return (await import("../runtime/deno/deno.ts")).denoRuntime();
  throw new Error("Trunkline runs on Bun (npx bun src/main.ts …) or Deno (npx deno run -A src/main.ts …)");
}
