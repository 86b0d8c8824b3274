import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { loadConfig, startRefusals } from "../../config.ts";
import { columns, paint, print, printError, UserError } from "../output.ts";
import { fromCentrifugo } from "./centrifugo.ts";
import { type Draft, isTree, type Line, type Verdict } from "./draft.ts";
import { fromReverb } from "./reverb.ts";
import { fromSoketi } from "./soketi.ts";

export interface ImportOptions {
  /** Where the settings go; absent: to stdout. A file that is there is left alone. */
  readonly out?: string;
  readonly json?: boolean;
}

const SERVERS: Readonly<Record<string, (text: string, path: string) => Promise<Draft>>> = {
  centrifugo: async (text, path) => fromCentrifugo(await parsed(text, path)),
  soketi: async (text) => fromSoketi(text),
  reverb: async (text) => fromReverb(text),
};

/**
 * `trunkline import <server> <file>`: settings of ours from those of another server. The settings go to stdout or a file,
 * and to stderr, line by line, what maps, what differs and what is missing. Only the settings hold secrets.
 */
export async function importSettings(args: readonly string[], options: ImportOptions): Promise<void> {
  const [server = "", path = ""] = args;
  const read = Object.hasOwn(SERVERS, server) ? SERVERS[server] : undefined;
  if (!read)
    throw new UserError(
      `there is an import from ${Object.keys(SERVERS).join(", ")}: trunkline import centrifugo config.json`,
    );
  const draft = await read(await textOf(path), path);
  const settings = JSON.stringify(draft.settings, null, 2);
  const open = stillOpen(settings);
  if (options.json)
    return print(JSON.stringify({ settings: draft.settings, lines: draft.lines, open }, null, 2));
  if (options.out === undefined) print(settings);
  else await write(options.out, `${settings}\n`);
  printError(toText(draft.lines, process.stderr));
  for (const problem of open)
    printError(`${paint("yellow", "before it starts", process.stderr)}: ${problem}`);
}

/** What keeps the settings from starting an instance; no text of it holds a secret. */
export function stillOpen(settings: string): readonly string[] {
  const result = loadConfig({ env: {}, file: settings });
  return result.problems ?? [...startRefusals(result.config)];
}

const STYLES: Readonly<Record<Verdict, "green" | "yellow" | "red">> = {
  ...{ maps: "green", differs: "yellow", missing: "red" },
};

function toText(lines: readonly Line[], stream: { readonly isTTY?: boolean }): string {
  const rows = lines.map(({ name, verdict, to, note }) => [
    paint(STYLES[verdict], verdict.padEnd("missing".length), stream),
    name,
    [to && `→ ${to}`, note].filter(Boolean).join(": "),
  ]);
  const count = (verdict: Verdict) => lines.filter((line) => line.verdict === verdict).length;
  return `${columns(rows)}\n${count("maps")} map, ${count("differs")} differ, ${count("missing")} missing`;
}

/** @throws UserError */
async function textOf(path: string): Promise<string> {
  if (path === "") throw new UserError("name the file to read: trunkline import centrifugo config.json");
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new UserError(`cannot read ${path} (${(error as NodeJS.ErrnoException).code ?? "unreadable"})`);
  }
}

/** For its owner alone: it holds secrets. @throws UserError */
async function write(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: "wx", mode: 0o600 });
  } catch (error) {
    const { code = "unwritable" } = error as NodeJS.ErrnoException;
    throw new UserError(
      code === "EEXIST" ? `${path} is there already: name another file` : `cannot write ${path} (${code})`,
    );
  }
}

/** JSON, or YAML where its package is installed. @throws UserError */
async function parsed(text: string, path: string): Promise<Record<string, unknown>> {
  const value = /\.ya?ml$/i.test(path) ? await yaml(text, path) : json(text, path);
  if (!isTree(value)) throw new UserError(`${path} does not hold an object of settings`);
  return value;
}

function json(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message may quote the file, secrets included.
    throw new UserError(
      `${path} is no JSON; of YAML, the name ends in .yaml, and TOML must be written as JSON first`,
    );
  }
}

async function yaml(text: string, path: string): Promise<unknown> {
  const library = await import("yaml").catch(() => undefined);
  if (!library)
    throw new UserError("YAML needs a package: npm install yaml, or write the file as JSON (yq -o json)");
  try {
    return library.parse(text);
  } catch {
    throw new UserError(`${path} is not valid YAML`);
  }
}
