import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configSchema } from "../../src/config.ts";
import { trunkline } from "../helpers/command.ts";

describe.each(["bun", "deno"] as const)("trunkline config on %s", (runtime) => {
  test("prints what is in effect, and what keeps serve from starting", async () => {
    const { out, err, code } = await trunkline(["config"], { runtime, env: { REGION: "fra" } });
    expect(JSON.parse(out)).toMatchObject({
      region: { value: "fra", source: "REGION" },
      port: { value: 8080, source: "default" },
    });
    expect(err).toContain("serve would not start");
    expect(code).toBe(0);
  });

  test("lists every mistake, without a stack and without secrets", async () => {
    const env = { PORT: "x", TRUNKLINE_NOPE: "1", TRUNKLINE_TOKEN_SECRET: "s3cr3t" };
    const { out, err, code } = await trunkline(["config"], { runtime, env });
    expect([code, out]).toEqual([1, ""]);
    for (const name of ["PORT", "TRUNKLINE_NOPE", "TRUNKLINE_TOKEN_SECRET"]) expect(err).toContain(name);
    expect(err).not.toContain("s3cr3t");
    expect(err).not.toContain("    at ");
    expect(err).not.toContain("\x1b");
  });
});

test("the file is read from --config, else TRUNKLINE_CONFIG; one that is not there is told", async () => {
  const dir = await mkdtemp(join(tmpdir(), "trunkline-"));
  try {
    const [one, two] = [join(dir, "one.json"), join(dir, "two.json")];
    await Bun.write(one, '{"port": 1}');
    await Bun.write(two, '{"port": 2}');
    const env = { TRUNKLINE_CONFIG: one };
    expect(JSON.parse((await trunkline(["config"], { env })).out).port.value).toBe(1);
    expect(JSON.parse((await trunkline(["config", "--config", two], { env })).out).port.value).toBe(2);
    const missing = await trunkline(["config", "--config", join(dir, "none.json")]);
    expect(missing.code).toBe(1);
    expect(missing.err).toContain("cannot read the configuration file");
    expect(missing.err).toContain("ENOENT");
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("--schema prints the JSON Schema; an unknown command and an unknown flag exit with 1", async () => {
  expect(JSON.parse((await trunkline(["config", "--schema"])).out)).toEqual(configSchema());
  expect((await trunkline(["confg"])).err).toContain("Did you mean config?");
  expect((await trunkline(["config", "--nope"])).code).toBe(1);
});
