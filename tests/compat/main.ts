import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureChromium } from "../helpers/browser.ts";
import { ensureServer } from "../helpers/servers.ts";
import { LANGUAGE_SDKS } from "./languages.ts";
import { compatibilityPage, readmeWith } from "./page.ts";
import { FILES, type Kept, pack, parseReport, resultsOf } from "./results.ts";
import { readmeWithSdks, sdksPage } from "./sdk-page.ts";
import { failures, type KeptSdks, SCENARIOS, sdkRuns } from "./sdk-results.ts";
import { runSuites } from "./suites/run.ts";
import type { KeptSuites } from "./suites/suite.ts";
import { SDKS } from "./table.ts";
import { prepare } from "./toolchains.ts";

/*
 * Runs the tests of stock clients, and the stock SDKs of all languages by programs of their own, and writes what came out
 * of it into README.md, docs/compatibility.md, docs/sdks.md and the JSON that these are made from: `npm run compat`, about
 * ten minutes, and more the first time, when packages are fetched and built. Test files after `--` are run alone, and what
 * is kept of the others stays: while no client has changed its version. With `--sdks` the SDKs of all languages run alone,
 * with `--suites` the SDKs' own tests (names of SDKs after it: theirs alone), about ten minutes.
 * With `--render` nothing runs: the pages are made anew. CI runs none of it: it holds the pages to what the last run kept.
 */

const ROOT = join(import.meta.dir, "../..");
const DATA = join(ROOT, "docs/compatibility.json");
const SDK_DATA = join(ROOT, "docs/sdks.json");
const SUITES_DATA = join(ROOT, "docs/suites.json");

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

/** The version a program of a language says it has; none: it is not here. */
function toolchain(name: string, ...command: string[]): string[] {
  return Bun.which(command[0]!) ? [`${name} ${version(...command)}`] : [];
}

/** Runs the SDKs of all languages. */
async function runSdks(): Promise<KeptSdks> {
  const prepared = await prepare();
  const xml = await report(Object.values(SCENARIOS).map((file) => `./${file}`));
  const ready = LANGUAGE_SDKS.filter(({ name }) => !("missing" in prepared[name]!));
  return {
    on: new Date().toISOString().slice(0, 10),
    programs: [
      `Bun ${Bun.version}`,
      ...toolchain("Go", "go", "version"),
      ...toolchain("Python", "python3", "--version"),
      ...toolchain("Java", "java", "--version"),
      ...toolchain("Rust", "cargo", "--version"),
      ...toolchain("PHP", "php", "--version"),
      ...toolchain("Ruby", "ruby", "--version"),
      ...(["nats-server", "redis-server"] as const).map(
        (name) => `${name} ${version(ensureServer(name), "--version")}`,
      ),
    ],
    versions: Object.fromEntries(ready.map((sdk) => [sdk.name, sdk.version])),
    missing: Object.fromEntries(
      Object.entries(prepared).flatMap(([name, how]) => ("missing" in how ? [[name, how.missing]] : [])),
    ),
    fromSource: Object.entries(prepared).flatMap(([name, how]) => ("fromSource" in how ? [name] : [])),
    runs: sdkRuns(xml, prepared),
  };
}

/**
 * Runs the SDKs' own suites, those with these names or all. TRUNKLINE_COMPAT_BEFORE names another installation of the
 * gateway, `<folder>@<commit>`: then what comes out is what the page compares with.
 */
async function suites(only: readonly string[]): Promise<KeptSuites> {
  const file = Bun.file(SUITES_DATA);
  const known = ((await file.exists()) ? await file.json() : { suites: {}, before: {} }) as KeptSuites;
  const [root, commit] = process.env.TRUNKLINE_COMPAT_BEFORE?.split("@") ?? [];
  const found = await runSuites(only, root);
  const next: KeptSuites = commit
    ? { ...known, before: { commit, suites: { ...known.before.suites, ...found } } }
    : { ...known, on: new Date().toISOString().slice(0, 10), suites: { ...known.suites, ...found } };
  await Bun.write(SUITES_DATA, `${JSON.stringify(next, null, 1)}\n`);
  return next;
}

/** Runs what the words ask for, or takes what was kept, and writes data and page. */
async function write<T>(
  data: string,
  page: string,
  wanted: boolean,
  run: () => Promise<T>,
  show: (kept: T) => string,
) {
  const kept = wanted ? await run() : ((await Bun.file(data).json()) as T);
  if (wanted) await Bun.write(data, `${JSON.stringify(kept, null, 1)}\n`);
  await Bun.write(join(ROOT, page), show(kept));
  return kept;
}

const words = process.argv.slice(2);
const files = words.filter((word) => !word.startsWith("--"));
const render = words.includes("--render");
const sdksOnly = words.includes("--sdks");
const suitesOnly = words.includes("--suites");
const kept = await write(
  DATA,
  "docs/compatibility.md",
  !render && !sdksOnly && !suitesOnly,
  () => run(files),
  (it) => compatibilityPage(resultsOf(it)),
);
const keptSuites = suitesOnly ? await suites(files) : ((await Bun.file(SUITES_DATA).json()) as KeptSuites);
const keptSdks = await write(
  SDK_DATA,
  "docs/sdks.md",
  !render && !suitesOnly && files.length === 0,
  runSdks,
  (it) => sdksPage(it, keptSuites),
);
const results = resultsOf(kept);
const readme = join(ROOT, "README.md");
await Bun.write(readme, readmeWithSdks(readmeWith(await Bun.file(readme).text(), results), keptSdks));
const failed = results.sdks.flatMap(({ runs }) => runs).filter(({ tests }) => tests.passed < tests.of);
const failedSdks = failures(keptSdks);
for (const line of failedSdks) console.error(line);
if (failed.length + failedSdks.length > 0) {
  console.error("some tests did not pass; the tables say which");
  process.exitCode = 1;
}
