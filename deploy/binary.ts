/**
 * Makes one file of the program, its pages and Bun itself: it runs every command on a machine that has nothing installed.
 *   bun deploy/binary.ts OUT [--target linux-x64|linux-arm64]
 * What is not here is left out, as in the image: commands for development, and the optional packages that they use.
 */
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url).href);
const FOLDERS = ["console", "console/admin", "console/world"];
const TARGETS = ["linux-x64", "linux-arm64"] as const;
const ENTRY = "trunkline-entry.ts";

/** What is served from memory, by the name under which the program looks for it. */
async function pages(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const library = join(ROOT, "node_modules/centrifuge/dist/centrifuge.js");
  if (existsSync(library)) files.set("centrifuge.js", library);
  for (const folder of FOLDERS) {
    const from = join(ROOT, "src", folder);
    const entries = existsSync(from) ? await readdir(from, { withFileTypes: true }) : [];
    for (const entry of entries) {
      if (!entry.isFile() || entry.name.endsWith(".ts")) continue;
      files.set(`${folder}/${entry.name}`, join(from, entry.name));
    }
  }
  return files;
}

/** Copies them: the load tool imports one of the pages' scripts, and a path is either code or a file. */
async function copied(files: ReadonlyMap<string, string>, to: string): Promise<Map<string, string>> {
  const copies = new Map<string, string>();
  for (const [name, path] of files) {
    const copy = join(to, name.replaceAll("/", "-"));
    await copyFile(path, copy);
    copies.set(name, copy);
  }
  return copies;
}

/** Names the files, then does what `src/main.ts` does; the load tool's workers are the same file under another name. */
function entry(files: ReadonlyMap<string, string>): string {
  const imports = [...files.values()].map(
    (path, index) => `import file${index} from ${JSON.stringify(path)} with { type: "file" };`,
  );
  const sets = [...files.keys()].map(
    (name, index) => `embeddedFiles.set(${JSON.stringify(name)}, file${index});`,
  );
  const source = (path: string) => JSON.stringify(join(ROOT, "src", path));
  return [
    `import { embeddedFiles } from ${source("core/embedded.ts")};`,
    ...imports,
    ...sets,
    `if (process.argv[2] === "load-worker") await import(${source("bench/load/worker.ts")});`,
    `else await import(${source("main.ts")});`,
  ].join("\n");
}

function isHere(wanted: string, importer: string): boolean {
  try {
    Bun.resolveSync(wanted, dirname(importer));
    return true;
  } catch {
    return false;
  }
}

const { values, positionals } = parseArgs({
  options: { target: { type: "string", default: `linux-${process.arch}` } },
  allowPositionals: true,
});
const [outfile] = positionals;
const target = TARGETS.find((known) => known === values.target);
if (outfile === undefined || target === undefined) {
  console.error(`usage: bun deploy/binary.ts OUT [--target ${TARGETS.join("|")}]`);
  process.exit(2);
}

const path = join(ROOT, ENTRY);
const copies = await mkdtemp(join(tmpdir(), "trunkline-pages-"));
const text = entry(await copied(await pages(), copies));
const built = await Bun.build({
  entrypoints: [path],
  minify: { whitespace: true, syntax: true },
  bytecode: true,
  format: "esm",
  compile: { target: `bun-${target}`, outfile, autoloadBunfig: false, autoloadDotenv: false },
  plugins: [
    {
      name: "entry",
      setup(build) {
        build.onResolve({ filter: new RegExp(`${ENTRY.replace(".", "\\.")}$`) }, () => ({
          path,
          namespace: "entry",
        }));
        build.onResolve({ filter: /./ }, ({ path: wanted, importer, kind }) =>
          kind === "dynamic-import" && !isHere(wanted, importer)
            ? { path: wanted, external: true }
            : undefined,
        );
        build.onLoad({ filter: /./, namespace: "entry" }, () => ({
          contents: text,
          loader: "ts",
          resolveDir: ROOT,
        }));
      },
    },
  ],
});
await rm(copies, { recursive: true, force: true });
for (const { path: made } of built.outputs) {
  console.log(`${made}: ${Math.round(Bun.file(made).size / 1e6)} MB for ${target}`);
}
