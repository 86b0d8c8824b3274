import { readFileSync } from "node:fs";
import { join } from "node:path";

/*
 * The files that docs/tutorial.md builds, step by step. A block with `title` is a whole file, or a part of one:
 * `replaces="start of a statement"` takes that statement's place, `before="a line"` goes before that line.
 */

const BLOCK = /^```\w+ title="([^"]+)"(?: (replaces|before)="((?:[^"\\]|\\.)*)")?\n([\s\S]*?)^```$/gm;

/** A state of the app: its files' texts by name. */
export type Files = Readonly<Record<string, string>>;

/** The app's files after each step of the page. @throws when a part finds no place in its file */
export function tutorialSteps(): Files[] {
  const page = readFileSync(join(import.meta.dir, "../../docs/tutorial.md"), "utf8");
  const steps: Files[] = [];
  let files: Record<string, string> = {};
  for (const section of page.split(/^## (?=Step \d)/m).slice(1)) {
    files = { ...files };
    for (const [, name = "", how, place = "", text = ""] of section.matchAll(BLOCK)) {
      files[name] = how === undefined ? text : placed(files[name] ?? "", how, JSON.parse(`"${place}"`), text);
    }
    steps.push(files);
  }
  return steps;
}

function placed(file: string, how: string, place: string, text: string): string {
  const lines = file.split("\n");
  const from = lines.findIndex((line) => line.startsWith(place));
  if (from < 0) throw new Error(`docs/tutorial.md: no line begins with ${place}`);
  // A statement ends with the first line from there on that is not indented and ends with a semicolon.
  const length = how === "before" ? 0 : lines.slice(from).findIndex((line) => /^\S.*;$/.test(line)) + 1;
  lines.splice(from, length, ...text.trimEnd().split("\n"), ...(how === "before" ? [""] : []));
  return lines.join("\n");
}
