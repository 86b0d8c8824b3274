import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, normalize } from "node:path";
import { freePort } from "../../src/process/ports.ts";
import { until } from "../helpers/until.ts";

const ROOT = join(import.meta.dir, "../..");

/** A machine with Node and npm alone, and the packed product installed in an empty folder of it. */
let dir = "";
let app = "";
let path = "";
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "trunkline-install-"));
  const bin = join(dir, "bin");
  mkdirSync(bin);
  for (const name of ["node", "npm", "npx", "sh", "env"]) {
    const found = Bun.which(name);
    if (found) symlinkSync(found, join(bin, name));
  }
  path = bin;
  app = join(dir, "app");
  mkdirSync(app);
  writeFileSync(join(app, "package.json"), "{}");
  expect(await run(ROOT, "npm", "pack", "--ignore-scripts", "--pack-destination", dir)).toMatchObject({
    code: 0,
  });
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
  const installed = await run(
    app,
    "npm",
    "install",
    "--prefer-offline",
    join(dir, `trunkline-${version}.tgz`),
  );
  expect(installed).toMatchObject({ code: 0 });
}, 120_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function start(cwd: string, command: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return Bun.spawn([...command], {
    cwd,
    env: { PATH: path, HOME: process.env.HOME ?? dir, NO_COLOR: "1", ...env },
    ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  });
}

async function run(cwd: string, ...command: readonly string[]) {
  const child = start(cwd, [join(path, command[0]!), ...command.slice(1)]);
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}

describe("the package, on a machine that has Node alone", () => {
  test("runs by npx, with the Bun that came with it", async () => {
    expect(await run(app, "npx", "trunkline", "--version")).toMatchObject({ code: 0, out: "0.1.0\n" });
    const { code, err } = await run(app, "npx", "trunkline", "token", "--user", "ann");
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("trunkline:") });
  }, 30_000);

  test("dev shows its page, passes signals on, and ends as the program ends", async () => {
    const port = await freePort();
    const launcher = join(app, "node_modules/.bin/trunkline");
    const child = start(app, [join(path, "node"), launcher, "dev"], { PORT: `${port}` });
    const page = () => fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    await until(async () => (await page())?.ok, { what: "dev to be up", timeoutMs: 20_000 });
    expect((await fetch(`http://127.0.0.1:${port}/assets/centrifuge.js`)).status).toBe(200);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    expect(await page()).toBeUndefined();
  }, 40_000);

  test("every link of README leads to a file that is in it", () => {
    const installed = join(app, "node_modules/trunkline");
    const readme = readFileSync(join(installed, "README.md"), "utf8");
    const links = [...readme.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, link]) => link!);
    const own = links.filter((link) => !/^[a-z]+:/.test(link));
    expect(own.length).toBeGreaterThan(10);
    const missing = own.filter(
      (link) => !existsSync(normalize(join(dirname(join(installed, "README.md")), link))),
    );
    expect(missing).toEqual([]);
  });
});
