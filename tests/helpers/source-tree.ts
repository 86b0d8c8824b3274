import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { parseSync } from "oxc-parser";

/** One import or re-export of a file, `import()` and `import type` included. */
interface Import {
  readonly specifier: string;
  /** The file it names, from the root ("src/core/ring.ts"); `undefined` for packages and built-in modules. */
  readonly to: string | undefined;
}

/** A function as it stands in the text, with the functions inside it counted in. */
interface FunctionText {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
  readonly parameters: number;
}

/** What the rules read of one file. */
export interface Source {
  /** From the root, with forward slashes: "src/core/ring.ts". */
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  /** Without comments and without what stands in strings. */
  readonly code: string;
  readonly imports: readonly Import[];
  readonly functions: readonly FunctionText[];
  /** Lines of `switch` statements without a `default`. */
  readonly openSwitches: readonly number[];
}

/** The TypeScript files of a root folder: those of `src`, and those of `tests`, `bench` and `examples` beside it. */
export interface Tree {
  readonly root: string;
  readonly sources: readonly Source[];
  /** Folders that stand directly in `src`, and its files without their ending. */
  readonly layers: ReadonlySet<string>;
}

const FOLDERS = ["src", "tests", "bench", "examples"];

/** Reads a tree. A text that was read before, in whatever tree, is not parsed again. */
export function readTree(root: string): Tree {
  const paths = FOLDERS.flatMap((folder) => filesUnder(root, folder));
  const sources = paths.map((path) => ({ path, ...parsed(path, readFileSync(join(root, path), "utf8")) }));
  return { root, sources, layers: new Set(sources.map(({ path }) => layerOf(path)).filter(isDefined)) };
}

/** The folder of src a path lies in, or the name of the file where it lies in src itself; `undefined` outside of src. */
export function layerOf(path: string): string | undefined {
  const [top, layer] = path.split("/");
  return top === "src" ? layer?.replace(/\.ts$/, "") : undefined;
}

function filesUnder(root: string, folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter(
      (entry) =>
        entry.isFile() &&
        /(?<!\.d)\.tsx?$/.test(entry.name) &&
        !/\/(vendor|node_modules|dist)(\/|$)/.test(entry.parentPath),
    )
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

const cache = new Map<string, Omit<Source, "path">>();

function parsed(path: string, text: string): Omit<Source, "path"> {
  const key = `${path}\n${text}`;
  const known = cache.get(key);
  if (known) return known;
  const { module, program, comments, errors } = parseSync(path, text);
  if (errors[0]) throw new Error(`${path} cannot be parsed: ${errors[0].message}`);
  const nodes = [...nodesOf(program)];
  const lineAt = (position: number) => text.slice(0, position).split("\n").length;
  const source = {
    text,
    lines: text.split("\n").length - 1,
    code: blanked(text, [...comments, ...nodes.filter(isText)]),
    imports: [...new Set(specifiersOf(module, nodes, text))].map((specifier) => ({
      specifier,
      to: specifier.startsWith(".") ? join(dirname(path), specifier) : undefined,
    })),
    functions: functionsOf(nodes, lineAt),
    openSwitches: nodes.filter(isOpenSwitch).map(({ start }) => lineAt(start)),
  };
  cache.set(key, source);
  return source;
}

function* nodesOf(value: unknown): Generator<Node> {
  if (Array.isArray(value)) {
    for (const item of value) yield* nodesOf(item);
  } else if (typeof value === "object" && value !== null) {
    if (typeof (value as Node).type === "string") yield value as Node;
    for (const item of Object.values(value)) yield* nodesOf(item);
  }
}

type Module = ReturnType<typeof parseSync>["module"];

/** `import … from`, `export … from`, `import("…")` as a value and as a type. */
function specifiersOf(module: Module, nodes: readonly Node[], text: string): string[] {
  return [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) => entries.map((entry) => entry.moduleRequest?.value)),
    ...module.dynamicImports.map(({ moduleRequest }) =>
      text.slice(moduleRequest.start + 1, moduleRequest.end - 1),
    ),
    ...nodes
      .filter(({ type }) => type === "TSImportType")
      .map(({ source }) => (source as { value: string }).value),
  ].filter(isDefined);
}

const FUNCTIONS = ["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"];

function functionsOf(nodes: readonly Node[], lineAt: (position: number) => number): FunctionText[] {
  const names = new Map<unknown, string>();
  for (const node of nodes) {
    const named = (node.key ?? node.id) as { name?: string } | null | undefined;
    for (const holder of [node.value, node.init]) if (named?.name) names.set(holder, named.name);
  }
  return nodes
    .filter(({ type, body }) => FUNCTIONS.includes(type) && body !== null)
    .map((node) => {
      const line = lineAt(node.start);
      const parameters = node.params as readonly Node[];
      return {
        name: (node.id as { name?: string } | null)?.name ?? names.get(node) ?? "(without a name)",
        line,
        lines: lineAt(node.end) - line + 1,
        parameters: parameters.filter(({ name }) => name !== "this").length,
      };
    });
}

function isOpenSwitch({ type, cases }: Node): boolean {
  return type === "SwitchStatement" && !(cases as { test: unknown }[]).some(({ test }) => test === null);
}

function isText({ type, value }: Node): boolean {
  return type === "TemplateElement" || (type === "Literal" && typeof value === "string");
}

/** The text with the given places emptied, lines kept. */
function blanked(text: string, places: readonly { start: number; end: number }[]): string {
  const sorted = [...places].sort((a, b) => a.start - b.start);
  let [out, from] = ["", 0];
  for (const { start, end } of sorted) {
    if (start < from) continue;
    out += text.slice(from, start) + text.slice(start, end).replace(/[^\n]/g, " ");
    from = end;
  }
  return out + text.slice(from);
}

function isDefined<T>(value: T | undefined): value is T {
  return value !== undefined;
}
