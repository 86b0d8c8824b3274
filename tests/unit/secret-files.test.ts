import { describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Reloads } from "../../src/cli/reload/reloads.ts";
import { apiKeyOfEnvironment, secretOfEnvironment } from "../../src/cli/secrets.ts";
import { readSettings, readTexts } from "../../src/cli/settings.ts";
import type { Config } from "../../src/config.ts";
import { createLogger, type LogFields } from "../../src/core/log.ts";
import { until } from "../helpers/until.ts";

const SECRETS = ["a", "b", "c"].map((letter) => letter.repeat(40));

/** A folder of secrets as orchestrators mount one: a link to the files of today, which is replaced as a whole. */
async function mounted() {
  const folder = await mkdtemp(join(tmpdir(), "trunkline-secrets-"));
  let turn = 0;
  const path = join(folder, "today", "token");
  const replace = async (secret: string) => {
    const own = `of-${++turn}`;
    await mkdir(join(folder, own));
    await writeFile(join(folder, own, "token"), `${secret}\n`);
    await symlink(own, join(folder, "next"));
    await rename(join(folder, "next"), join(folder, "today"));
  };
  await replace(SECRETS[0]!);
  return { folder, path, replace, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

/** What the environment holds for a while. */
function environment(values: Record<string, string>): Disposable {
  const before = Object.fromEntries(Object.keys(values).map((name) => [name, process.env[name]]));
  Object.assign(process.env, values);
  return {
    [Symbol.dispose]() {
      for (const [name, value] of Object.entries(before)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    },
  };
}

describe("the files of secrets of a running instance", () => {
  test("are read again when they are replaced or rewritten; what cannot be used changes nothing", async () => {
    await using secrets = await mounted();
    using _env = environment({ TRUNKLINE_TOKEN_SECRET_FILE: secrets.path });
    const lines: LogFields[] = [];
    const log = createLogger("info", (line) => lines.push(line));
    const settings = { profile: "dev" } as const;
    const texts = await readTexts({});
    const { config } = await readSettings(settings, texts);
    const taken: (string | undefined)[] = [];
    const reloads = new Reloads(config, { source: { settings, texts }, lookMs: 5 }, log);
    const prepare = async ({ auth }: Config) => ({
      commit: () => void taken.push(auth.tokenSecret),
      abandon() {},
    });
    reloads.start({ prepare } as never);
    try {
      await secrets.replace(SECRETS[1]!);
      await until(() => taken.length === 1, { what: "the replaced one" });
      await writeFile(secrets.path, SECRETS[2]!);
      await until(() => taken.length === 2, { what: "the rewritten one" });
      const refused = () =>
        lines.filter(({ message }) => message === "settings not reloaded: the previous ones stay in force");
      await rm(secrets.path);
      await until(() => refused().length > 0, { what: "the complaint" });
      await secrets.replace(SECRETS[0]!);
      await until(() => taken.length === 3, { what: "the one that came back" });
      expect(taken).toEqual([SECRETS[1], SECRETS[2], SECRETS[0]]);
      expect(refused()[0]!.problems).toContain("cannot read");
      const said = JSON.stringify(lines);
      for (const secret of SECRETS) expect(said).not.toContain(secret);
    } finally {
      reloads.stop();
    }
  });
});

describe("a secret of a command", () => {
  test("is what the variable holds, or the file that it names, without the end of its line", async () => {
    await using secrets = await mounted();
    expect(secretOfEnvironment("X", { X: "plain" })).toBe("plain");
    expect(secretOfEnvironment("X", { X_FILE: secrets.path, X: "" })).toBe(SECRETS[0]!);
    expect(secretOfEnvironment("X", {})).toBeUndefined();
    await secrets.replace("first-key-0123456789, second-key-0123456789");
    using _env = environment({ TRUNKLINE_API_KEYS_FILE: secrets.path, TRUNKLINE_API_KEYS: "" });
    expect(apiKeyOfEnvironment()).toBe("first-key-0123456789");
  });

  test("that cannot be had is named with its variable", async () => {
    await using secrets = await mounted();
    const empty = join(secrets.folder, "empty");
    await writeFile(empty, "\n");
    for (const [env, problem] of [
      [{ X: "a", X_FILE: secrets.path }, "X and X_FILE: only one can be used; unset the other"],
      [{ X_FILE: join(secrets.folder, "none") }, "X_FILE: cannot read"],
      [{ X_FILE: empty }, "is empty"],
    ] as const)
      expect(() => secretOfEnvironment("X", env)).toThrow(problem);
  });
});
