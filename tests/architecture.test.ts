import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { Closes, Errors, Unsubscribes } from "../src/core/errors.ts";

const ROOT = join(import.meta.dir, "..");
const CEILING = 400;

/** What a folder of src may import from, beside itself: `core ← protocol ← drivers ← gateway ← http ← cli ← main`. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  protocol: ["core"],
  runtime: [],
  broker: ["core", "protocol"],
  presence: ["core", "protocol"],
  auth: ["core", "protocol"],
  // To be unplugged: the gateway still names the two families of clients, and they each other.
  gateway: ["core", "protocol", "runtime", "broker", "presence", "auth", "centrifuge", "pusher"],
  centrifuge: ["core", "protocol", "runtime", "broker", "presence", "auth", "gateway", "pusher"],
  pusher: ["core", "protocol", "runtime", "broker", "presence", "auth", "gateway", "centrifuge"],
  http: ["core", "protocol", "runtime", "broker", "presence", "auth", "gateway", "pusher"],
  config: ["core"],
  console: [],
  // The load generator: a program of its own, which knows a gateway from outside only, and what it gives to clients.
  bench: ["core", "process", "console", "world"],
  // Other programs as children of this one.
  process: [],
  // Regions as processes of this machine: knows a gateway from outside only, too.
  world: ["core", "process"],
  cli: [
    "core",
    "protocol",
    "runtime",
    "broker",
    "presence",
    "auth",
    "gateway",
    "centrifuge",
    "pusher",
    "http",
    "config",
    "console",
    "bench",
    "process",
    "world",
  ],
  main: ["cli"],
};

/** What folders above a port may import of it at run time: the port, and what belongs to no driver. */
const PORTS = ["broker", "presence", "auth", "runtime"];

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
  readonly dynamic: boolean;
}

interface Source {
  /** From the root, such as "src/core/ring.ts". */
  readonly path: string;
  /** Folder under src, or the file's own name where it lies in src itself. */
  readonly layer: string;
  readonly text: string;
  /** Without comments and string contents. */
  readonly code: string;
  readonly imports: readonly Import[];
}

function filesUnder(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.parentPath.includes("vendor"))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .sort();
}

function read(path: string): Source {
  const text = readFileSync(join(ROOT, path), "utf8");
  const [, first = ""] = path.split("/");
  const bare = withoutComments(text);
  return {
    path,
    layer: first.replace(/\.ts$/, ""),
    text,
    code: withoutStrings(bare),
    imports: importsOf(bare),
  };
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
}

function withoutStrings(text: string): string {
  return text.replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, '""');
}

function importsOf(text: string): Import[] {
  const found: Import[] = [];
  for (const [, type, specifier] of text.matchAll(
    /^(?:im|ex)port\s+(type\s)?(?:[\w*{}\s,$]+?\sfrom\s+)?"([^"]+)"/gm,
  )) {
    found.push({ specifier: specifier!, typeOnly: type !== undefined, dynamic: false });
  }
  for (const [, specifier] of text.matchAll(/\bimport\(\s*"([^"]+)"\s*\)/g)) {
    found.push({ specifier: specifier!, typeOnly: false, dynamic: true });
  }
  return found;
}

/** The file of src an import names, from the root; `undefined` for packages and the runtime's modules. */
function target(source: Source, { specifier }: Import): string | undefined {
  return specifier.startsWith(".") ? join(dirname(source.path), specifier) : undefined;
}

/** The driver a file belongs to: its folder below a port's. */
function driverOf(path: string): string | undefined {
  const [, layer = "", driver, file] = path.split("/");
  return PORTS.includes(layer) && file !== undefined ? driver : undefined;
}

/** Every import within src, with the file it names. */
function* edges(): Generator<{ source: Source; entry: Import; to: string; toLayer: string }> {
  for (const source of sources) {
    for (const entry of source.imports) {
      const to = target(source, entry);
      if (to?.startsWith("src/")) {
        yield { source, entry, to, toLayer: to.split("/")[1]!.replace(/\.ts$/, "") };
      }
    }
  }
}

const sources = filesUnder("src").map(read);
const everything = [...sources, ...["tests", "bench"].flatMap(filesUnder).map(read)];

/** The files in which something is found, with what was found. */
function offenders(files: readonly Source[], find: (file: Source) => Iterable<string>): string[] {
  return files.flatMap((file) => [...find(file)].map((what) => `${file.path}: ${what}`));
}

describe("layout", () => {
  test("every file of src lies in a folder of the design", () => {
    expect(sources.filter(({ layer }) => MAY_IMPORT[layer] === undefined).map(({ path }) => path)).toEqual(
      [],
    );
    expect(sources.length).toBeGreaterThan(20);
  });

  test(`no file is longer than ${CEILING} lines`, () => {
    const long = everything.map(({ path, text }) => [path, text.split("\n").length - 1] as const);
    expect(long.filter(([, lines]) => lines > CEILING)).toEqual([]);
  });

  test("imports are found by this test at all", () => {
    const main = sources.find(({ path }) => path === "src/main.ts")!;
    expect(main.imports).toContainEqual({ specifier: "./cli/output.ts", typeOnly: false, dynamic: false });
    expect(main.imports).toContainEqual({ specifier: "./cli/config.ts", typeOnly: false, dynamic: true });
    const total = sources.reduce(
      (sum, { code }) => sum + (code.match(/^(im|ex)port\b[^;]*\bfrom ""/gm)?.length ?? 0),
      0,
    );
    const found = sources.reduce(
      (sum, { imports }) => sum + imports.filter(({ dynamic }) => !dynamic).length,
      0,
    );
    expect(found).toBeGreaterThanOrEqual(total);
  });
});

describe("imports", () => {
  test("go one way: core ← protocol ← broker, presence, auth ← gateway ← centrifuge, pusher ← http ← cli ← main", () => {
    const wrong = [...edges()].filter(
      ({ source, toLayer }) => toLayer !== source.layer && !MAY_IMPORT[source.layer]?.includes(toLayer),
    );
    expect(wrong.map(({ source, to }) => `${source.path} → ${to}`)).toEqual([]);
  });

  test("sibling drivers do not know each other", () => {
    const wrong = [...edges()].filter(({ source, to, toLayer }) => {
      const [from, other] = [driverOf(source.path), driverOf(to)];
      return source.layer === toLayer && from !== undefined && other !== undefined && from !== other;
    });
    expect(wrong.map(({ source, to }) => `${source.path} → ${to}`)).toEqual([]);
  });

  test("drivers are built by commands alone", () => {
    const wrong = [...edges()].filter(
      ({ source, to, toLayer }) =>
        PORTS.includes(toLayer) &&
        driverOf(to) !== undefined &&
        source.layer !== toLayer &&
        source.layer !== "cli",
    );
    expect(wrong.map(({ source, to }) => `${source.path} → ${to}`)).toEqual([]);
  });

  test("Hono is known to http alone, and each client library to its driver", () => {
    const HOMES: Readonly<Record<string, RegExp>> = {
      hono: /^src\/(http\/|cli\/world-page)/,
      nats: /^src\/broker\/nats\/|^src\/(cli|bench)\//,
      ioredis: /^src\/(presence|bench)\//,
      "@upstash/redis": /^src\/presence\//,
      jose: /^src\/(auth|cli|bench)\//,
      zod: /^src\/(config|http|auth|gateway|centrifuge|pusher)\//,
      commander: /^src\/main\.ts$/,
      protobufjs: /^src\/protocol\//,
    };
    const wrong = offenders(sources, ({ path, imports }) =>
      imports
        .map(({ specifier }) => specifier)
        .filter((name) =>
          Object.entries(HOMES).some(([home, where]) => isOf(home, name) && !where.test(path)),
        ),
    );
    expect(wrong).toEqual([]);
  });

  test("core and protocol stand on nothing but the language (Protobuf's wire format is plain JavaScript)", () => {
    const wrong = offenders(
      sources.filter(({ layer }) => layer === "core" || layer === "protocol"),
      ({ imports }) =>
        imports
          .map(({ specifier }) => specifier)
          .filter((name) => !name.startsWith(".") && !isOf("protobufjs", name)),
    );
    expect(wrong).toEqual([]);
  });
});

describe("globals", () => {
  test("of Bun and Deno are used in src/runtime alone (and by the load generator, whose control row is plain Bun)", () => {
    const wrong = offenders(
      sources.filter(({ layer }) => layer !== "runtime" && layer !== "bench"),
      ({ code, imports }) => [
        ...(code.match(/(?<![.\w"'])(Bun|Deno)(?=[.[])/g) ?? []),
        ...imports
          .map(({ specifier }) => specifier)
          .filter((name) => name === "bun" || name.startsWith("bun:")),
      ],
    );
    expect(wrong).toEqual([]);
  });

  test("`process` is imported where it is used, and never in core or protocol", () => {
    const wrong = offenders(sources, ({ code, imports }) => {
      const imported = imports.some(({ specifier }) => specifier === "node:process");
      return imported ? [] : (code.match(/(?<![.\w])process\.\w+/g) ?? []);
    });
    expect(wrong).toEqual([]);
  });
});

describe("codes", () => {
  const own = [...Object.values(Errors), ...Object.values(Unsubscribes), ...Object.values(Closes)].map(
    ({ code }) => code,
  );
  const literal = /(?:\bcode\s*[:=]=*|\bclose\(|[=!]==?)\s*(\d{3,4})\b/g;

  test("of errors and closes are written in core/errors.ts alone", () => {
    const inGateway = sources.filter(
      ({ path, layer }) =>
        ["protocol", "gateway", "centrifuge", "pusher", "auth", "broker"].includes(layer) &&
        path !== "src/core/errors.ts",
    );
    const wrong = offenders(inGateway, ({ code }) =>
      [...code.matchAll(literal)]
        .map(([, number]) => number!)
        .filter((number) => own.includes(Number(number) as never)),
    );
    expect(wrong).toEqual([]);
  });
});

function isOf(name: string, specifier: string): boolean {
  return specifier === name || specifier.startsWith(`${name}/`);
}
