import { Closes, Errors, Unsubscribes } from "../../src/core/errors.ts";
import { layerOf, type Source, type Tree } from "./source-tree.ts";

/** What breaks a rule: the file it stands in (both, or all, where files break it together), and what is wrong. */
export interface Violation {
  readonly paths: readonly string[];
  readonly what: string;
}

/** A rule of the house. It judges by where a file stands, so that a new file is under it from its first line on. */
export type Rule = (tree: Tree) => Violation[];

/** What a folder of src may import from, beside itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  // The shapes of events.
  events: [],
  // The client library of NATS, for the driver, and for the programs of cli and bench, which know no port.
  nats: [],
  // What shapes are made of, wherever they are.
  shapes: [],
  protocol: ["core"],
  runtime: [],
  broker: ["core", "events", "nats"],
  presence: ["core"],
  auth: ["core", "shapes"],
  gateway: ["core", "events", "shapes", "protocol", "runtime", "broker", "presence", "auth", "webhooks"],
  centrifuge: ["core", "protocol", "broker", "presence", "auth", "gateway"],
  // Events over HTTP: lines of the outbox to addresses of the settings.
  webhooks: ["core", "broker"],
  pusher: ["core", "protocol", "broker", "presence", "gateway", "webhooks"],
  http: [
    "core",
    "events",
    "shapes",
    "protocol",
    "runtime",
    "broker",
    "auth",
    "gateway",
    "centrifuge",
    "pusher",
    "webhooks",
  ],
  // Traces by OpenTelemetry; their port is in core.
  tracing: ["core"],
  config: ["core", "events", "shapes"],
  console: [],
  // The load generator: a program of its own, which knows a gateway from outside only, and what it gives to clients.
  bench: ["core", "nats", "process", "console", "world"],
  // Other programs as children of this one.
  process: [],
  // Regions as processes of this machine: knows a gateway from outside only, too.
  world: ["process"],
  cli: [
    ...["core", "runtime", "broker", "presence", "auth", "gateway", "centrifuge", "pusher", "http"],
    ...["events", "nats", "webhooks", "config", "tracing", "bench", "process", "world", "console"],
  ],
  // What apps import: an instance without a port of its own.
  library: ["core", "events", "runtime", "broker", "auth", "gateway", "config", "cli"],
  main: ["cli"],
};

/** Folders with a port: each folder directly below one is a driver of it. */
const PORTS = ["broker", "presence", "auth", "runtime"];

/** Families of clients: what speaks one protocol lies in folders of this name, wherever they stand below src. */
const FAMILIES = ["centrifuge", "pusher"];

const NATS = "src/nats/client.ts";
const KNOWS_NATS = /^(src\/(broker\/nats|cli|bench)|bench)\//;

const LONGEST_FILE = 400;
const LONGEST_FUNCTION = 60;
const MOST_PARAMETERS = 5;

/**
 * Where a package may be imported: a driver's library in the driver's folder, and by the programs of cli and bench,
 * which know no port. A package that stands here not at all may be imported nowhere.
 */
const LIBRARIES: Readonly<Record<string, RegExp>> = {
  // Behind one file; who may import that is below.
  nats: /^src\/nats\/client\.ts$/,
  "@upstash/redis": /^src\/presence\/redis\//,
  ioredis: /^src\/(presence\/redis|bench)\//,
  jose: /^src\/(auth\/jwt|cli|bench|library)\//,
  zod: /^src\/(config|events|shapes|http|auth|gateway|centrifuge|pusher|webhooks|library)\//,
  hono: /^src\/http\//,
  "prom-client": /^src\/http\//,
  "ipaddr.js": /^src\/(http|config|gateway\/instance|webhooks)\//,
  "fossil-delta": /^src\/gateway\/channel\//,
  protobufjs: /^src\/protocol\//,
  pino: /^src\/cli\//,
  "@opentelemetry": /^src\/tracing\//,
  commander: /^src\/main\.ts$/,
  yaml: /^src\/cli\//,
  "log-update": /^src\/cli\//,
  "cli-progress": /^src\/cli\//,
  bun: /^src\/(runtime\/bun|bench)\//,
  centrifuge: /^src\/bench\//,
  "hdr-histogram-js": /^src\/bench\//,
  "d3-scale": /^src\/bench\//,
  "d3-shape": /^src\/bench\//,
};

/** The rules, each under the sentence that it holds. */
export const rules = {
  "every file of src lies in a folder of the plan": (tree) =>
    each(srcOf(tree), ({ path }) => (layerOf(path)! in MAY_IMPORT ? [] : ["lies in no folder of the plan"])),

  "a record of zod's is made in src/shapes alone, which carries every key": (tree) =>
    each(srcOf(tree), ({ path, code }) =>
      layerOf(path) === "shapes" || !/\bz\s*\.\s*(record|partialRecord|looseRecord|map)\(/.test(code)
        ? []
        : ["makes a record that leaves out the key __proto__: use records()"],
    ),

  "imports go one way": (tree) =>
    imports(tree, ({ from, to }) => {
      const [layer, other] = [layerOf(from)!, layerOf(to)!];
      return other === layer || (MAY_IMPORT[layer] ?? []).includes(other) ? [] : [`imports ${to}`];
    }),

  "what is allowed is used": (tree) => {
    const used = new Set([...edgesOf(tree)].map(({ from, to }) => `${layerOf(from)} → ${layerOf(to)}`));
    return Object.entries(MAY_IMPORT).flatMap(([layer, others]) =>
      others
        .filter((other) => !used.has(`${layer} → ${other}`))
        .map((other) => ({ paths: [`src/${layer}`], what: `may import ${other}, and does not` })),
    );
  },

  "a driver is a folder: cli alone looks into it": (tree) =>
    imports(tree, ({ from, to }) => {
      const driver = driverOf(to);
      const own = driver === undefined || from.startsWith(`${driver}/`) || /^src\/(cli|library)\//.test(from);
      return own ? [] : [`imports ${to}, which is inside of a driver`];
    }),

  "a family of clients is known to itself, to http, which serves its addresses, and to cli": (tree) =>
    imports(tree, ({ from, to }) => {
      const family = familyOf(to);
      const own = family === undefined || family === familyOf(from);
      if (own || (familyOf(from) === undefined && ["http", "cli"].includes(layerOf(from)!))) return [];
      return [`imports ${to}, which is ${family}'s`];
    }),

  "no circle of files, import type and import() included": (tree) =>
    circlesOf(tree).map((paths) => ({ paths, what: `import each other: ${paths.join(", ")}` })),

  "the gateway knows no family's word": (tree) =>
    each(
      tree.sources.filter(({ path }) => layerOf(path) === "gateway"),
      ({ path, text }) =>
        FAMILIES.flatMap((word) => {
          const lines = [path, ...text.split("\n")];
          const line = lines.findIndex((content) => content.toLowerCase().includes(word));
          return line < 0 ? [] : [`says "${word}" in line ${line}`];
        }),
    ),

  [`no file is longer than ${LONGEST_FILE} lines`]: (tree) =>
    each(tree.sources, ({ lines }) => (lines > LONGEST_FILE ? [`has ${lines} lines`] : [])),

  [`no function is longer than ${LONGEST_FUNCTION} lines`]: (tree) =>
    each(srcOf(tree), ({ functions }) =>
      functions
        .filter(({ lines }) => lines > LONGEST_FUNCTION)
        .map(({ name, line, lines }) => `${name} in line ${line} has ${lines} lines`),
    ),

  [`no function takes more than ${MOST_PARAMETERS} parameters`]: (tree) =>
    each(tree.sources, ({ functions }) =>
      functions
        .filter(({ parameters }) => parameters > MOST_PARAMETERS)
        .map(({ name, line, parameters }) => `${name} in line ${line} takes ${parameters} parameters`),
    ),

  "every switch says what it does with anything else": (tree) =>
    each(srcOf(tree), ({ openSwitches }) =>
      openSwitches.map((line) => `the switch in line ${line} has no default`),
    ),

  "a package is imported where it belongs": (tree) =>
    each(srcOf(tree), ({ path, imports: all }) =>
      all
        .filter(({ to, specifier }) => to === undefined && !specifier.startsWith("node:"))
        .filter(({ specifier }) => !homeOf(specifier)?.test(path))
        .map(({ specifier }) => `imports ${specifier}`),
    ),

  "NATS's client library is imported by one file, which its driver, cli and bench import": (tree) =>
    each(
      tree.sources.filter(({ path }) => !path.startsWith("tests/")),
      ({ path, imports: all }) => [
        ...all.filter(({ specifier }) => isOf("nats", specifier) && path !== NATS).map(() => "imports nats"),
        ...all.filter(({ to }) => to === NATS && !KNOWS_NATS.test(path)).map(() => `imports ${NATS}`),
      ],
    ),

  "an example is a folder of its own, which knows the product by its package alone": (tree) =>
    each(
      tree.sources.filter(({ path }) => path.startsWith("examples/")),
      ({ path, imports: all }) => {
        const own = path.split("/").slice(0, 2).join("/");
        return all
          .filter(({ to }) => to !== undefined && !to.startsWith(`${own}/`))
          .map(({ to }) => `imports ${to}`);
      },
    ),

  "core and protocol stand on the language alone (and on Protobuf's wire format, which is plain JavaScript)":
    (tree) =>
      each(
        tree.sources.filter(({ path }) => ["core", "protocol"].includes(layerOf(path)!)),
        ({ imports: all }) =>
          all
            .filter(({ to, specifier }) => to === undefined && !isOf("protobufjs", specifier))
            .map(({ specifier }) => `imports ${specifier}`),
      ),

  "Bun and Deno are named in src/runtime alone (and by the load generator, whose control row is plain Bun)": (
    tree,
  ) =>
    each(
      srcOf(tree).filter(({ path }) => !["runtime", "bench"].includes(layerOf(path)!)),
      ({ code, imports: all }) => [
        ...(code.match(/(?<![.\w])(Bun|Deno)(?=[.[])/g) ?? []).map((name) => `uses ${name}`),
        ...all.filter(({ specifier }) => /^bun(:|$)/.test(specifier)).map(() => "imports Bun's modules"),
      ],
    ),

  "`process` is imported where it is used": (tree) =>
    each(srcOf(tree), ({ code, imports: all }) =>
      all.some(({ specifier }) => specifier === "node:process")
        ? []
        : (code.match(/(?<![.\w])process\.\w+/g) ?? []).map((use) => `uses ${use} as a global`),
    ),

  "codes of errors and closes are written in one table": (tree) =>
    each(
      srcOf(tree).filter(({ path }) => CODED.includes(layerOf(path)!) && !isTableOfCodes(path)),
      ({ code }) =>
        [...code.matchAll(LITERAL_CODE)]
          .filter(([, number]) => CODES.has(Number(number)))
          .map(([, number]) => `writes the code ${number}`),
    ),
} satisfies Record<string, Rule> as Readonly<Record<string, Rule>>;

const CODED = ["core", "protocol", "broker", "presence", "auth", "gateway", "centrifuge", "pusher"];
const LITERAL_CODE = /(?:\bcode\s*[:=]=*|\bclose\(|[=!]==?)\s*(\d{3,4})\b/g;
const CODES = new Set<number>(
  [...Object.values(Errors), ...Object.values(Unsubscribes), ...Object.values(Closes)].map(
    ({ code }) => code,
  ),
);

function isTableOfCodes(path: string): boolean {
  return path === "src/core/errors.ts";
}

/** The folder of the driver a file belongs to, such as "src/broker/nats". */
function driverOf(path: string): string | undefined {
  const [, layer = "", driver, file] = path.split("/");
  return PORTS.includes(layer) && file !== undefined ? `src/${layer}/${driver}` : undefined;
}

function familyOf(path: string): string | undefined {
  const folders = path.split("/").slice(1, -1);
  return FAMILIES.find((family) => folders.includes(family));
}

function homeOf(specifier: string): RegExp | undefined {
  return Object.entries(LIBRARIES).find(([name]) => isOf(name, specifier))?.[1];
}

function isOf(name: string, specifier: string): boolean {
  return specifier === name || specifier.startsWith(`${name}/`);
}

function srcOf(tree: Tree): Source[] {
  return tree.sources.filter(({ path }) => layerOf(path) !== undefined);
}

function each(sources: readonly Source[], find: (source: Source) => readonly string[]): Violation[] {
  return sources.flatMap((source) => find(source).map((what) => ({ paths: [source.path], what })));
}

interface Edge {
  readonly from: string;
  readonly to: string;
}

/** Every import from one file of src to another. */
function* edgesOf(tree: Tree): Generator<Edge> {
  for (const { path, imports: all } of srcOf(tree)) {
    for (const { to } of all) if (to !== undefined && layerOf(to) !== undefined) yield { from: path, to };
  }
}

function imports(tree: Tree, find: (edge: Edge) => readonly string[]): Violation[] {
  return [...edgesOf(tree)].flatMap((edge) => find(edge).map((what) => ({ paths: [edge.from], what })));
}

/** Sets of files that reach each other (strongly connected components, after Tarjan), of src, tests and bench. */
function circlesOf(tree: Tree): string[][] {
  const graph = new Map(tree.sources.map(({ path, imports: all }) => [path, all.map(({ to }) => to)]));
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const circles: string[][] = [];
  const visit = (path: string): void => {
    index.set(path, index.size);
    low.set(path, index.get(path)!);
    stack.push(path);
    for (const to of graph.get(path)!) {
      if (to === undefined || !graph.has(to)) continue;
      if (!index.has(to)) visit(to);
      if (stack.includes(to)) low.set(path, Math.min(low.get(path)!, low.get(to)!));
    }
    if (low.get(path) !== index.get(path)) return;
    const circle = stack.splice(stack.indexOf(path));
    if (circle.length > 1 || graph.get(path)!.includes(path)) circles.push(circle.sort());
  };
  for (const path of graph.keys()) if (!index.has(path)) visit(path);
  return circles;
}
