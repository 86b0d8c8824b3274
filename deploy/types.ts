/** Writes the declarations of what apps import, and of what those name, to `types/`: for the package. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url).href);
const ENTRIES = ["src/library/trunkline", "src/library/testing", "src/library/events"];
const FLAGS =
  "--noEmit false --declaration --emitDeclarationOnly --skipLibCheck --ignoreConfig --strict --types bun --target esnext " +
  "--module preserve --moduleResolution bundler --allowImportingTsExtensions --resolveJsonModule --rootDir .";

const dir = await mkdtemp(join(tmpdir(), "trunkline-types-"));
try {
  const files = ENTRIES.map((path) => `${path}.ts`);
  const command = ["npx", "tsc", ...FLAGS.split(" "), "--outDir", dir, ...files];
  const child = Bun.spawn(command, { cwd: ROOT, stdout: "inherit", stderr: "inherit" });
  if ((await child.exited) !== 0) process.exit(1);
  await rm(join(ROOT, "types"), { recursive: true, force: true });
  const open = [...ENTRIES];
  const seen = new Set<string>();
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const text = await readFile(join(dir, `${path}.d.ts`), "utf8");
    const own = text.replace(/(from "|import\(")(\.[^"]+)\.ts"/g, (_, before: string, name: string) => {
      open.push(relative(ROOT, join(ROOT, dirname(path!), name)));
      return `${before}${name}.js"`;
    });
    const to = join(ROOT, "types", `${path.slice("src/".length)}.d.ts`);
    await mkdir(dirname(to), { recursive: true });
    await writeFile(to, own);
  }
  console.log(`types: ${seen.size} files`);
} finally {
  await rm(dir, { recursive: true, force: true });
}
