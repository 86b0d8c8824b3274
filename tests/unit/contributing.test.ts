import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { scripts } from "../../package.json";

const ROOT = join(import.meta.dir, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

/** Pages for those who change the code: what they name in it must be there. */
const PAGES = ["CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", ".github/pull_request_template.md"];

test.each(PAGES)("%s names npm scripts that are there", (page) => {
  const named = [...read(page).matchAll(/npm (?:run )?(?!run|ci)([a-z][\w:-]*)/g)].map(([, name]) => name!);
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});

test("CONTRIBUTING names every script of the quick loop", () => {
  const page = read("CONTRIBUTING.md");
  const loop = Object.keys(scripts).filter((name) => /^(test|check|coverage|format)/.test(name));
  expect(loop.filter((name) => !page.includes(`npm run ${name}`) && !page.includes(`npm ${name}`))).toEqual(
    [],
  );
});

test("CONTRIBUTING explains every step that the log follows a connection and a message by", () => {
  const sources = [...new Bun.Glob("src/**/*.ts").scanSync(ROOT)].map(read);
  const steps = sources.flatMap((text) =>
    [...text.matchAll(/\.trace\?\.\(\s*"([^"]+)"/g)].map(([, step]) => step!),
  );
  expect(new Set(steps).size).toBeGreaterThan(8);
  const explained = [...read("CONTRIBUTING.md").matchAll(/^\| `([^`]+)`/gm)].map(([, step]) => step!);
  expect([...new Set(steps)].filter((step) => !explained.includes(step))).toEqual([]);
  expect(
    explained.filter((step) => step.includes(" ") && !step.startsWith("np") && !steps.includes(step)),
  ).toEqual([]);
});
