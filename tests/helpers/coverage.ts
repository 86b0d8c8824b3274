import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Prints how many lines of the gateway and its client families the tests in this process run: `bun
 * tests/helpers/coverage.ts [--json]`. End-to-end suites are not part of it: what they run is another process.
 */

const ROOT = join(import.meta.dir, "../..");
const ROOMS = ["src/gateway", "src/centrifuge", "src/pusher"] as const;
const SUITES = ["tests/gateway", "tests/unit"] as const;

/** Lines with code, and those of them that were run. */
interface Lines {
  found: number;
  hit: number;
}

const filesOf = (room: string) => Array.from(new Bun.Glob(`${room}/**/*.ts`).scanSync(ROOT)).sort();

/** Runs the suites. @returns the report, and how long it took in ms */
async function run(folder: string): Promise<{ lcov: string; ms: number }> {
  // A file that no test loads would be missing from the report.
  const loaded = join(folder, "all.test.ts");
  const imports = ROOMS.flatMap(filesOf).map((file) => `import ${JSON.stringify(join(ROOT, file))};`);
  await writeFile(loaded, imports.join("\n"));
  const report = ["--coverage", "--coverage-reporter=lcov", `--coverage-dir=${folder}`];
  const command = [process.execPath, "test", ...report, "--timeout", "60000", ...SUITES, loaded];
  const begin = performance.now();
  const tests = Bun.spawn(command, { cwd: ROOT, stdout: "pipe", stderr: "pipe" });
  const [output, code] = await Promise.all([new Response(tests.stderr).text(), tests.exited]);
  const ms = Math.round(performance.now() - begin);
  if (code !== 0)
    throw new Error(`tests failed:\n${output.match(/^\(fail\).*$/gm)?.join("\n") ?? output.slice(-4_000)}`);
  return { lcov: await readFile(join(folder, "lcov.info"), "utf8"), ms };
}

/** Lines by file, from a report in the format of lcov. */
function read(lcov: string): Map<string, Lines> {
  const files = new Map<string, Lines>();
  let lines: Lines = { found: 0, hit: 0 };
  for (const record of lcov.split("\n")) {
    const [name, value] = record.split(":", 2) as [string, string];
    if (name === "SF") {
      lines = { found: 0, hit: 0 };
      files.set(value, lines);
    } else if (name === "LF") lines.found = Number(value);
    else if (name === "LH") lines.hit = Number(value);
  }
  return files;
}

const percent = ({ found, hit }: Lines) => (found === 0 ? 100 : Math.round((1_000 * hit) / found) / 10);

function sum(all: readonly Lines[]): Lines {
  return all.reduce((total, { found, hit }) => ({ found: total.found + found, hit: total.hit + hit }), {
    found: 0,
    hit: 0,
  });
}

const folder = await mkdtemp(join(tmpdir(), "trunkline-coverage-"));
try {
  const { lcov, ms } = await run(folder);
  const byFile = read(lcov);
  const rooms = ROOMS.map((room) => {
    const files = filesOf(room).map((file) => ({ file, ...(byFile.get(file) ?? { found: 0, hit: 0 }) }));
    return { room, ...sum(files), files };
  });
  const total = sum(rooms);
  if (process.argv.includes("--json")) {
    const report = rooms.map(({ room, found, hit, files }) => ({ room, found, hit, files }));
    console.log(JSON.stringify({ rooms: report, total: { ...total, percent: percent(total) }, ms }));
  } else {
    const row = (name: string, lines: Lines) =>
      `${name.padEnd(46)}${String(lines.hit).padStart(6)} of ${String(lines.found).padStart(6)}${percent(lines).toFixed(1).padStart(8)} %`;
    for (const room of rooms) {
      console.log(row(room.room, room));
      for (const file of room.files) console.log(row(`  ${file.file.slice(room.room.length + 1)}`, file));
    }
    console.log(`${row("total", total)}   ${(ms / 1_000).toFixed(1)} s`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
