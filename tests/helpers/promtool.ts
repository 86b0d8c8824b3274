import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whether Prometheus takes an expression, as that of a rule. */
export async function isPromQl(expr: string): Promise<boolean> {
  const dir = await mkdtemp(join(tmpdir(), "trunkline-rules-"));
  try {
    const rules = join(dir, "rules.yaml");
    await Bun.write(rules, JSON.stringify({ groups: [{ name: "a", rules: [{ record: "a", expr }] }] }));
    return Bun.spawnSync(["promtool", "check", "rules", rules]).exitCode === 0;
  } finally {
    await rm(dir, { recursive: true });
  }
}
