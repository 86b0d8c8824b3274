import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Packed, run } from "./package.ts";

const PAGE = join(import.meta.dir, "../../docs/library.md");

/** A new app installs the package, and runs the test that the page shows. */
export async function greenTest(from: Packed): Promise<void> {
  const folder = await from.folder("library");
  await run(folder, ["npm", "init", "--yes"]);
  await run(folder, ["npm", "install", from.tarball]);
  const shown = [...readFileSync(PAGE, "utf8").matchAll(/```ts\n([\s\S]*?)```/g)].map(([, text]) => text!);
  const test = shown.find((text) => text.includes("bun:test"));
  if (!test) throw new Error("docs/library.md shows no test");
  await Bun.write(join(folder, "chat.test.ts"), test);
  await run(folder, ["npx", "bun", "test"]);
}
