import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig, startRefusals } from "../../src/config.ts";

const OWN = "0123456789abcdef0123456789abcdef";

function refusals(env: Record<string, string>, file: object = {}): string[] {
  const result = loadConfig({ env: { TRUNKLINE_TOKEN_SECRET: OWN, ...env }, file: JSON.stringify(file) });
  if (result.problems) throw new Error(result.problems.join("\n"));
  return [...startRefusals(result.config)];
}

test("no secret of an example starts an instance, and none is quoted", () => {
  const example = readFileSync(join(import.meta.dir, "../../deploy/example.env"), "utf8");
  const secrets = [...example.matchAll(/^[A-Z_]+=(.+)$/gm)].map(([, value]) => value!);
  expect(secrets.length).toBeGreaterThan(3);
  for (const secret of secrets) {
    const long = secret.padEnd(32, "-");
    for (const name of ["TRUNKLINE_TOKEN_SECRET", "TRUNKLINE_API_KEYS", "TRUNKLINE_HTTP_METRICS_TOKEN"]) {
      const found = refusals({ [name]: long });
      expect([secret, name, found.length]).toEqual([secret, name, 1]);
      expect(found[0]).not.toContain(secret);
    }
  }
  const app = { id: "shop", keys: [{ key: "k", secret: "dev-secret-of-trunkline" }], namespace: "chat" };
  expect(refusals({}, { apps: [app] })[0]).toStartWith("apps.shop: ");
});

test("secrets of one's own do, and whoever wants no secrets is not asked for any", () => {
  expect(refusals({ TRUNKLINE_API_KEYS: OWN })).toEqual([]);
  expect(
    refusals({ TRUNKLINE_TOKEN_SECRET: "change-me".padEnd(32, "x"), TRUNKLINE_INSECURE: "true" }),
  ).toEqual([]);
});
