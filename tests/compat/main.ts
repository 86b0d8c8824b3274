import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureChromium } from "../helpers/browser.ts";
import { ensureServer } from "../helpers/servers.ts";
import { compatibilityPage, readmeWith } from "./page.ts";
import { FILES, type Kept, pack, parseReport, resultsOf } from "./results.ts";
import { SDKS } from "./table.ts";

/*
 * Runs the tests of stock clients and writes what came out of it into README.md, docs/compatibility.md and the JSON both
 * are made from: `npm run compat`, about five minutes. Files after `--` are run alone, and what is kept of the others
 * stays: while no client has changed its version. With `--render` nothing runs: the pages are made anew.
 */

const ROOT = join(import.meta.dir, "../..");
const DATA = join(ROOT, "docs/compatibility.json");

/** Version a program gives: some say it on standard error. */
function version(...command: string[]): string {
  const { stdout, stderr } = Bun.spawnSync(command, { stderr: "pipe" });
  return /\d+(\.\d+)+/.exec(`${stdout}${stderr}`)?.[0] ?? "?";
}

/** Version of a package as it is installed, which is what runs. */
const installed = async (name: string) =>
  ((await Bun.file(join(ROOT, "node_modules", name, "package.json")).json()) as { version: string }).version;

/** Runs test files; gives bun's report of them. */
async function report(files: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "trunkline-compat-"));
  try {
    const outfile = join(folder, "report.xml");
    const options = ["--timeout", "60000", "--reporter=junit", `--reporter-outfile=${outfile}`];
    const tests = Bun.spawn([process.execPath, "test", ...options, ...files], {
      cwd: ROOT,
      stdout: "inherit",
      stderr: "inherit",
    });
    await tests.exited;
    return await Bun.file(outfile).text();
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function run(chosen: readonly string[]): Promise<Kept> {
  const versions: Record<string, string> = {};
  for (const { package: name } of SDKS) if (name) versions[name] = await installed(name);
  let before: Kept["tests"] = {};
  if (chosen.length > 0) {
    const kept = (await Bun.file(DATA).json()) as Kept;
    const unknown = chosen.filter((file) => !FILES.includes(file));
    if (unknown.length > 0) throw new Error(`no test of a client is in ${unknown}`);
    if (!Bun.deepEquals(kept.versions, versions)) throw new Error("a client has changed: run all files");
    before = kept.tests;
  }
  const tests = pack(parseReport(await report(chosen.length > 0 ? chosen : FILES)));
  return {
    on: new Date().toISOString().slice(0, 10),
    programs: [
      `Bun ${Bun.version}`,
      `Deno ${await installed("deno")}`,
      `Node ${version("node", "--version")}`,
      `Chromium ${version(ensureChromium(), "--version")}`,
      ...(["nats-server", "redis-server"] as const).map(
        (name) => `${name} ${version(ensureServer(name), "--version")}`,
      ),
      ...(["nginx", "haproxy"] as const).map((name) => `${name} ${version(ensureServer(name), "-v")}`),
    ],
    versions,
    tests: Object.fromEntries(
      FILES.flatMap((file) => {
        const its = tests[file] ?? before[file];
        return its ? [[file, its]] : [];
      }),
    ),
  };
}

const words = process.argv.slice(2);
const kept = words.includes("--render") ? ((await Bun.file(DATA).json()) as Kept) : await run(words);
const results = resultsOf(kept);
await Bun.write(DATA, `${JSON.stringify(kept, null, 1)}\n`);
await Bun.write(join(ROOT, "docs/compatibility.md"), compatibilityPage(results));
const readme = join(ROOT, "README.md");
await Bun.write(readme, readmeWith(await Bun.file(readme).text(), results));
const failed = results.sdks.flatMap(({ runs }) => runs).filter(({ tests }) => tests.passed < tests.of);
if (failed.length > 0) {
  console.error("some tests did not pass; the tables say which");
  process.exitCode = 1;
}
