import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { tutorialSteps } from "../tests/helpers/tutorial.ts";

/** Checks the types of what docs/frameworks.md, docs/recipes.md and docs/tutorial.md show, with the frameworks' own types. */
const ROOT = resolve(import.meta.dir, "..");
const folder = join(import.meta.dir, "snippets");
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);

const BLOCK = /^```tsx? title="([^"]+)"\n([\s\S]*?)^```$/gm;
let count = 0;
for (const page of ["frameworks", "recipes"]) {
  for (const [, name = "", text = ""] of readFileSync(join(ROOT, `docs/${page}.md`), "utf8").matchAll(
    BLOCK,
  )) {
    writeFileSync(join(folder, name), text);
    count++;
  }
}
mkdirSync(join(folder, "tutorial"));
for (const [name, text] of Object.entries(tutorialSteps().at(-1)!)) {
  writeFileSync(join(folder, "tutorial", name), text);
  count++;
}
const library = (name: string) => [join(ROOT, `src/library/${name}.ts`)];
writeFileSync(
  join(folder, "tsconfig.json"),
  JSON.stringify({
    extends: join(ROOT, "tsconfig.json"),
    compilerOptions: {
      jsx: "react-jsx",
      noUnusedLocals: false,
      typeRoots: [join(ROOT, "node_modules/@types")],
      paths: { trunkline: library("trunkline"), "trunkline/testing": library("testing") },
    },
    include: ["."],
  }),
);
const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
const { exitCode, stdout } = Bun.spawnSync(["node", tsc, "-p", folder], {
  stdout: "pipe",
  stderr: "inherit",
});
console.log(stdout.toString() || `the types of ${count} files of the pages are right`);
rmSync(folder, { recursive: true, force: true });
process.exit(exitCode);
