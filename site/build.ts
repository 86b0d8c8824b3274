import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

/*
 * `npm run docs`: spelling, types of what the pages show, then the site into site/dist, where a link that leads nowhere is an
 * error. The generator's packages are installed here, and by this command alone.
 */

const HERE = import.meta.dir;

function run(...command: readonly string[]): void {
  const [program = "", ...args] = command;
  const bin = join(HERE, "node_modules/.bin", program);
  const { exitCode } = Bun.spawnSync([existsSync(bin) ? bin : program, ...args], {
    ...{ cwd: HERE, stdin: "ignore", stdout: "inherit", stderr: "inherit" },
  });
  if (exitCode !== 0) process.exit(exitCode);
}

const want = await Bun.file(join(HERE, "package-lock.json")).text();
const mark = Bun.file(join(HERE, "node_modules/.installed-lock"));
if (!(await mark.exists()) || (await mark.text()) !== want) {
  run("npm", "ci", "--ignore-scripts", "--prefer-offline");
  await Bun.write(mark, want);
}
run("cspell", "--config", "cspell.json", "--no-progress", "--no-summary");
run(process.execPath, "snippets.ts");
run("vitepress", "build", ".");
