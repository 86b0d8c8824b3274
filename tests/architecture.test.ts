import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { rules, type Violation } from "./helpers/architecture.ts";
import { readTree } from "./helpers/source-tree.ts";

const ROOT = join(import.meta.dir, "..");

const today = readTree(ROOT);
const violationsToday = new Map(Object.entries(rules).map(([name, rule]) => [name, rule(today).map(said)]));

function said({ paths, what }: Violation): string {
  return `${paths.join(" and ")}: ${what}`;
}

describe("this tree", () => {
  for (const [name, found] of violationsToday) {
    test(name, () => expect(found).toEqual([]));
  }

  test("is read at all, with every kind of import", () => {
    expect(today.sources.length).toBeGreaterThan(500);
    const main = today.sources.find(({ path }) => path === "src/main.ts")!;
    expect(main.imports).toContainEqual({ specifier: "./cli/output.ts", to: "src/cli/output.ts" });
    expect(main.imports).toContainEqual({ specifier: "./cli/config.ts", to: "src/cli/config.ts" });
  });
});

/** A change of the tree that breaks a rule: new files by path, or a file's text made from its old one. */
interface Break {
  readonly files: Readonly<Record<string, string | ((old: string) => string)>>;
  /** What must be said of it, by the rule that says it, and nothing beside it. */
  readonly says: Readonly<Record<string, string[]>>;
}

const ARROWS = "imports go one way";
const DRIVERS = "a driver is a folder: cli alone looks into it";
const FAMILY = "a family of clients is known to itself, to http, which serves its addresses, and to cli";
const CIRCLES = "no circle of files, import type and import() included";
const WORDS = "the gateway knows no family's word";
const LENGTH = "no function is longer than 60 lines";
const PARAMETERS = "no function takes more than 5 parameters";
const SWITCHES = "every switch says what it does with anything else";
const PACKAGES = "a package is imported where it belongs";
const GLOBALS =
  "Bun and Deno are named in src/runtime alone (and by the load generator, whose control row is plain Bun)";
const CODES = "codes of errors and closes are written in one table";
const NATS = "NATS's client library is imported by one file, which its driver, cli and bench import";
const PURE =
  "core and protocol stand on the language alone (and on Protobuf's wire format, which is plain JavaScript)";

const breaks: Readonly<Record<string, Break>> = {
  "a gateway that imports a driver's insides": {
    files: {
      "src/gateway/new.ts": 'import { respLink } from "../presence/redis/link-resp.ts";\nrespLink;\n',
    },
    says: {
      [DRIVERS]: ["src/gateway/new.ts: imports src/presence/redis/link-resp.ts, which is inside of a driver"],
    },
  },
  "a third driver, built in http": {
    files: {
      "src/presence/null/null.ts": "export const nullPresence = () => undefined;\n",
      "src/http/new.ts": 'export const presence = async () => import("../presence/null/null.ts");\n',
    },
    says: {
      [DRIVERS]: ["src/http/new.ts: imports src/presence/null/null.ts, which is inside of a driver"],
      [ARROWS]: ["src/http/new.ts: imports src/presence/null/null.ts"],
    },
  },
  "a driver's room that imports the sibling driver": {
    files: { "src/broker/nats/link/new.ts": 'export { memoryBroker } from "../../memory/memory.ts";\n' },
    says: {
      [DRIVERS]: [
        "src/broker/nats/link/new.ts: imports src/broker/memory/memory.ts, which is inside of a driver",
      ],
    },
  },
  "a port that imports one of its drivers": {
    files: { "src/broker/new.ts": 'export type Link = import("./nats/link/link.ts").Link;\n' },
    says: {
      [DRIVERS]: ["src/broker/new.ts: imports src/broker/nats/link/link.ts, which is inside of a driver"],
    },
  },
  "two files of core that import each other's values": {
    files: {
      "src/core/a.ts": 'import { b } from "./b.ts";\nexport const a = () => b;\n',
      "src/core/b.ts": 'import { a } from "./a.ts";\nexport const b = () => a;\n',
    },
    says: { [CIRCLES]: ["src/core/a.ts and src/core/b.ts: import each other: src/core/a.ts, src/core/b.ts"] },
  },
  "a circle of three that types and a late import close": {
    files: {
      "src/cli/a.ts": 'import type { B } from "./b.ts";\nexport type A = B;\n',
      "src/cli/b.ts": 'export type B = string;\nexport const c = () => import("./c.ts");\n',
      "src/cli/c.ts": 'export type C = import("./a.ts").A;\n',
    },
    says: {
      [CIRCLES]: [
        "src/cli/a.ts and src/cli/b.ts and src/cli/c.ts: import each other: src/cli/a.ts, src/cli/b.ts, src/cli/c.ts",
      ],
    },
  },
  "an example that looks into the product, and into another": {
    files: {
      "examples/cursors/new.ts":
        'import "../../src/library/trunkline.ts";\nimport "../ticker/feed.ts";\nimport "./cursors.ts";\n',
    },
    says: {
      "an example is a folder of its own, which knows the product by its package alone": [
        "examples/cursors/new.ts: imports src/library/trunkline.ts",
        "examples/cursors/new.ts: imports examples/ticker/feed.ts",
      ],
    },
  },
  "an arrow that runs up": {
    files: {
      "src/core/new.ts": 'import type { Broker } from "../broker/broker.ts";\nexport type B = Broker;\n',
    },
    says: { [ARROWS]: ["src/core/new.ts: imports src/broker/broker.ts"] },
  },
  "a folder that the plan does not know": {
    files: { "src/util/new.ts": "export const one = 1;\n" },
    says: {
      "every file of src lies in a folder of the plan": ["src/util/new.ts: lies in no folder of the plan"],
    },
  },
  "a family that imports the other": {
    files: { "src/protocol/pusher/new.ts": 'export { emulation } from "../centrifuge/emulation.ts";\n' },
    says: {
      [FAMILY]: [
        "src/protocol/pusher/new.ts: imports src/protocol/centrifuge/emulation.ts, which is centrifuge's",
      ],
    },
  },
  "a core that imports a family": {
    files: { "src/core/new.ts": 'export { a } from "../protocol/pusher/data.ts";\n' },
    says: {
      [FAMILY]: ["src/core/new.ts: imports src/protocol/pusher/data.ts, which is pusher's"],
      [ARROWS]: ["src/core/new.ts: imports src/protocol/pusher/data.ts"],
    },
  },
  "a gateway that says a family's word in a comment": {
    files: { "src/gateway/new.ts": "export const one = 1;\n// as PUSHER has it\n" },
    says: { [WORDS]: ['src/gateway/new.ts: says "pusher" in line 2'] },
  },
  "a gateway with a file of a family's name": {
    files: { "src/gateway/centrifuge-x.ts": "export const one = 1;\n" },
    says: { [WORDS]: ['src/gateway/centrifuge-x.ts: says "centrifuge" in line 0'] },
  },
  "an allowance that nobody uses any more": {
    files: Object.fromEntries(
      today.sources
        .filter(({ path }) => path.startsWith("src/world/"))
        .map(({ path }) => [path, (old: string) => old.replaceAll("../process/", "./")]),
    ),
    says: { "what is allowed is used": ["src/world: may import process, and does not"] },
  },
  "a file of 401 lines": {
    files: { "tests/unit/new.ts": "\n".repeat(401) },
    says: { "no file is longer than 400 lines": ["tests/unit/new.ts: has 401 lines"] },
  },
  "a method of 61 lines": {
    files: { "src/core/new.ts": `export class A {\n  run(): void {\n${"\n".repeat(59)}  }\n}\n` },
    says: { [LENGTH]: ["src/core/new.ts: run in line 2 has 61 lines"] },
  },
  "an arrow function of 61 lines": {
    files: { "src/core/new.ts": `export const run = () => {\n${"\n".repeat(59)}};\n` },
    says: { [LENGTH]: ["src/core/new.ts: run in line 1 has 61 lines"] },
  },
  "six parameters, one optional and one the rest": {
    files: {
      "src/core/new.ts":
        "export function run(a: 1, b: 1, c: 1, d: 1, e = 1, ...f: 1[]): void {\n  [a, b, c, d, e, f];\n}\n",
    },
    says: { [PARAMETERS]: ["src/core/new.ts: run in line 1 takes 6 parameters"] },
  },
  "six parameters of a constructor": {
    files: {
      "src/core/new.ts":
        "export class A {\n  constructor(a: 1, b: 1, c: 1, d: 1, e: 1, f: 1) {\n    [a, b, c, d, e, f];\n  }\n}\n",
    },
    says: { [PARAMETERS]: ["src/core/new.ts: constructor in line 2 takes 6 parameters"] },
  },
  "a switch without a default": {
    files: {
      "src/core/new.ts": 'export function f(a: "b" | "c"): void {\n  switch (a) {\n    case "b":\n  }\n}\n',
    },
    says: { [SWITCHES]: ["src/core/new.ts: the switch in line 2 has no default"] },
  },
  "a driver's library in another driver": {
    files: {
      "src/presence/memory/new.ts": 'import type { Redis } from "ioredis";\nexport type R = Redis;\n',
    },
    says: { [PACKAGES]: ["src/presence/memory/new.ts: imports ioredis"] },
  },
  "NATS's library beside its file": {
    files: {
      "src/broker/nats/link/new.ts": 'import type { Msg } from "nats";\nexport type M = Msg;\n',
      "bench/new.ts": 'export const late = () => import("nats");\n',
    },
    says: {
      [PACKAGES]: ["src/broker/nats/link/new.ts: imports nats"],
      [NATS]: ["src/broker/nats/link/new.ts: imports nats", "bench/new.ts: imports nats"],
    },
  },
  "NATS's library in another driver": {
    files: { "src/broker/memory/new.ts": 'export { connect } from "../../nats/client.ts";\n' },
    says: { [NATS]: ["src/broker/memory/new.ts: imports src/nats/client.ts"] },
  },
  "a package that has no place": {
    files: { "src/broker/memory/new.ts": 'export { Kafka } from "kafkajs";\n' },
    says: { [PACKAGES]: ["src/broker/memory/new.ts: imports kafkajs"] },
  },
  "a record of zod's in http": {
    files: {
      "src/http/new.ts":
        'import { z } from "zod";\nexport const tags = z\n  .record(z.string(), z.string());\n',
    },
    says: {
      "a record of zod's is made in src/shapes alone, which carries every key": [
        "src/http/new.ts: makes a record that leaves out the key __proto__: use records()",
      ],
    },
  },
  "core that reads files": {
    files: { "src/core/new.ts": 'export { readFileSync } from "node:fs";\n' },
    says: { [PURE]: ["src/core/new.ts: imports node:fs"] },
  },
  "a global of Bun in http": {
    files: { "src/http/new.ts": 'export const now = () => Bun.nanoseconds(); // not "Deno.x"\n' },
    says: { [GLOBALS]: ["src/http/new.ts: uses Bun"] },
  },
  "`process` as a global": {
    files: { "src/cli/new.ts": "export const pid = process.pid;\n" },
    says: { "`process` is imported where it is used": ["src/cli/new.ts: uses process.pid as a global"] },
  },
  "a close code as a number": {
    files: { "src/gateway/new.ts": "export const f = (s: { close(n: number): void }) => s.close(3000);\n" },
    says: { [CODES]: ["src/gateway/new.ts: writes the code 3000"] },
  },
};

describe("is seen to fail:", () => {
  const root = mkdtempSync(join(tmpdir(), "architecture-"));
  for (const folder of ["src", "tests", "bench"]) {
    cpSync(join(ROOT, folder), join(root, folder), { recursive: true });
  }
  afterAll(() => rmSync(root, { recursive: true }));

  for (const [name, { files, says }] of Object.entries(breaks)) {
    test(name, () => {
      using _ = changed(root, files);
      const tree = readTree(root);
      const added = Object.entries(rules).map(([other, judge]) => {
        const known = new Set(violationsToday.get(other));
        return [
          other,
          judge(tree)
            .map(said)
            .filter((violation) => !known.has(violation)),
        ] as const;
      });
      expect(Object.fromEntries(added.filter(([, found]) => found.length > 0))).toEqual(says);
    });
  }

  test("every rule", () => {
    expect(
      Object.keys(rules).filter((rule) => !Object.values(breaks).some(({ says }) => rule in says)),
    ).toEqual([]);
  });
});

/** Changes files of a tree until it is disposed of. */
function changed(root: string, files: Break["files"]): Disposable {
  const undo = Object.entries(files).map(([path, text]) => {
    const file = join(root, path);
    const old = typeof text === "string" ? undefined : readFileSync(file, "utf8");
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof text === "string" ? text : text(old!));
    return () => (old === undefined ? rmSync(file) : writeFileSync(file, old));
  });
  return {
    [Symbol.dispose]() {
      for (const back of undo) back();
    },
  };
}
