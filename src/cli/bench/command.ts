/**
 * `trunkline bench`: runs the requested part of the load tool, and loads only that part.
 * @param options flags as commander hands them over
 * @param args the scenario, or `check`, or `regions`
 */
export async function benchCommand(options: Record<string, unknown>, args: readonly string[]): Promise<void> {
  if (options.plan) return (await import("./plan.ts")).benchPlan(options);
  if (args[0] === "check") return await (await import("./check.ts")).benchCheck(options);
  if (args[0] === "regions") return await (await import("./regions.ts")).benchRegions(options);
  return await (await import("./bench.ts")).bench(options, args);
}
