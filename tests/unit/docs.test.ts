import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { secretFiles } from "../../src/config.ts";
import { parseChannel } from "../../src/core/channel.ts";
import { Closes, Errors, reconnects, Unsubscribes } from "../../src/core/errors.ts";
import { QUOTA_REASONS } from "../../src/core/labels.ts";
import { Stats } from "../../src/core/stats.ts";
import { subjects } from "../../src/core/subject.ts";
import { eventShapes } from "../../src/events/shapes.ts";
import { signals } from "../../src/gateway/control.ts";
import { createMetrics } from "../../src/http/metrics.ts";
import { presenceKeys } from "../../src/presence/redis/keys.ts";
import { PROCESS_FIGURES } from "../helpers/http-server.ts";

const ROOT = join(import.meta.dir, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

/** Pages that are printed by the product. */
const GENERATED: ReadonlySet<string> = new Set(["config.md", "api.md", "control.md"]);

/** What people wrote; the generated pages have tests of their own. */
const PAGES = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md") && !GENERATED.has(name))
    .map((name) => `docs/${name}`),
];
const pages = PAGES.map((path) => ({ path, text: read(path) }));
/** What the load generator's runs have shown. */
const RESULTS = ["bench/RESULTS.md", "bench/OPTIMISATIONS.md", "bench/SURVIVAL.md"].map((path) => ({
  path,
  text: read(path),
}));

/** Cells of the table under a heading or line, without its head. */
function rows(page: string, after: string): string[][] {
  const lines = read(page).split("\n");
  const from = lines.findIndex((line) => line.startsWith(after));
  expect(from, `"${after}" in ${page}`).toBeGreaterThanOrEqual(0);
  const first = lines.findIndex((line, index) => index > from && line.startsWith("|"));
  const last = lines.findIndex((line, index) => index > first && !line.startsWith("|"));
  return lines.slice(first + 2, last < 0 ? undefined : last).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const code = (cell: string | undefined) => /`([^`]+)`/.exec(cell ?? "")?.[1] ?? "";

describe("docs/protocol.md", () => {
  test("lists every error", () => {
    const documented = rows("docs/protocol.md", "### Errors").map((row) => row.slice(0, 3));
    const known = Object.values(Errors).map((error) => [
      String(error.code),
      error.message,
      "temporary" in error ? "yes" : "no",
    ]);
    expect(documented.sort()).toEqual(known.sort());
  });

  test("lists every end of a subscription, and what the client does then", () => {
    const documented = rows("docs/protocol.md", "### Ends of a subscription").map((row) => row.slice(0, 3));
    const known = Object.values(Unsubscribes).map(({ code: number, reason }) => [
      String(number),
      reason,
      number >= 2500 ? "subscribes again" : "stays out",
    ]);
    expect(documented.sort()).toEqual(known.sort());
  });

  test("lists every end of a connection, and what the client does then", () => {
    const documented = rows("docs/protocol.md", "### Ends of a connection").map((row) => row.slice(0, 3));
    const known = Object.values(Closes).map(({ code: number, reason }) => [
      String(number),
      reason,
      reconnects(number) ? "reconnects" : "stays away",
    ]);
    expect(documented.sort()).toEqual(known.sort());
  });

  test("marks the codes that nothing sends", () => {
    const sources = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => read(`src/${name}`))
      .join("\n");
    const unsent = Object.entries({ Errors, Unsubscribes, Closes }).flatMap(([table, codes]) =>
      Object.entries(codes)
        .filter(([name]) => !new RegExp(`\\b${table}\\.${name}\\b`).test(sources))
        .map(([, { code: number }]) => String(number)),
    );
    const marked = ["### Errors", "### Ends of a subscription", "### Ends of a connection"]
      .flatMap((heading) => rows("docs/protocol.md", heading))
      .filter((row) => row.at(-1) === "†")
      .map((row) => row[0]!);
    expect(marked.sort()).toEqual(unsent.sort());
  });

  test("names tests that exist", () => {
    const tests = readdirSync(join(ROOT, "tests"), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => read(`tests/${name}`))
      .join("\n");
    const section = read("docs/protocol.md").split("\n## Commands\n")[1]?.split("\n## ")[0] ?? "";
    const titles = [...section.matchAll(/^ {2}- `([^`]+)`/gm)].map(([, title]) => title!);
    expect(titles.length).toBeGreaterThan(10);
    const exists = (title: string) =>
      ["test", "test.concurrent"].some((kind) => tests.includes(`${kind}("${title}"`));
    expect(titles.filter((title) => !exists(title))).toEqual([]);
  });
});

test("docs/troubleshooting.md says of every code that is sent what to do about it", () => {
  const [, text = ""] = read("docs/troubleshooting.md").split("\n## By code\n");
  for (const heading of ["### Ends of a connection", "### Ends of a subscription", "### Errors"]) {
    const sent = rows("docs/protocol.md", heading).filter((row) => row.at(-1) !== "†");
    const [, section = ""] = `${text}\n###`.split(`${heading}\n`);
    const told = [...section.split("\n###")[0]!.matchAll(/^- ((?:`\d+`(?:, )?)+):/gm)];
    const codes = told.flatMap(([, list]) => [...list!.matchAll(/\d+/g)].map(([code]) => code));
    expect(codes.sort()).toEqual([...new Set(sent.map(([code]) => code!))].sort());
  }
});

describe("docs/subjects.md", () => {
  test("shows subjects as they are", () => {
    const shown = rows("docs/subjects.md", "## Names and subjects").map((row) => row.map(code));
    expect(shown.length).toBeGreaterThan(5);
    expect(shown).toEqual(shown.map(([channel]) => [channel!, subjects().message(parseChannel(channel!))]));
  });

  test("lists every kind of event and control signal, and every reason of a rejection", () => {
    const told = [...read("src/gateway/membership/events.ts").matchAll(/#emit\("(\w+)"/g)];
    expect([...told.map(([, kind]) => kind!), "rejected"].sort()).toEqual(Object.keys(eventShapes).sort());
    const page = read("docs/subjects.md");
    for (const kind of Object.keys(eventShapes)) expect(page).toContain(`\`${kind}\``);

    const control = read("docs/control.md");
    const names = Object.keys(signals).filter((name) => !control.includes(`### rtctl.${name}\n`));
    expect(names.filter((name) => !control.includes(`\`${name}\``))).toEqual([]);

    const [, flaws = ""] = /export type Flaw =([^;]+);/.exec(read("src/broker/body.ts")) ?? [];
    const [, jsonFlaws = ""] = /export type JsonFlaw =([^;]+);/.exec(read("src/core/json-check.ts")) ?? [];
    const reasons = [...`${flaws}${jsonFlaws}`.matchAll(/"([^"]+)"/g)].map(([, reason]) => reason!);
    expect(reasons).toContain("not JSON");
    expect(reasons.filter((reason) => !read("docs/events.md").includes(`\`${reason}\``))).toEqual([]);
  });
});

test("docs/metrics.md lists every metric", async () => {
  const metrics = createMetrics({
    stats: new Stats(),
    ...{ connections: () => 0, users: () => 0, namespaces: () => [], endpoints: () => [] },
    connectionsLimit: 1,
    overload: () => ({ state: "ok", delayMs: 0 }),
    ...{ residentBytes: () => 0, memoryLimitBytes: () => 0 },
    runtime: PROCESS_FIGURES,
    certificateExpiresAtMs: () => 0,
    broker: () => ({ state: "connected", sinceMs: 0 }),
    presence: () => ({ state: "ok" }),
    build: { version: "", runtime: "", region: "", instance: "" },
  });
  const names = [...(await metrics.text()).matchAll(/^# TYPE (?:trunkline_)?(\S+)/gm)].map(
    ([, name]) => name!,
  );
  const documented = [
    ...read("docs/metrics.md").matchAll(/^- ((?:`\w+(?:\{[\w,]+\})?`(?:, )?)+):/gm),
  ].flatMap(([, list]) => [...list!.matchAll(/`(\w+)/g)].map(([, name]) => name!));
  expect(documented.sort()).toEqual(names.sort());
});

test("docs/presence.md lists every kind of key", () => {
  const keys = Object.values(presenceKeys("tl:")).map((key) =>
    typeof key === "function" ? (key as (...names: string[]) => string)("x", "y") : key,
  );
  const text = rows("docs/presence.md", "## What is kept").flat().join(" ");
  const kinds = keys.map((key) => key.split(":").slice(0, 2).join(":"));
  expect(kinds.filter((kind) => !text.includes(`${kind}:{`) && !text.includes(`\`${kind}`))).toEqual([]);
});

describe("every page", () => {
  const settings = read("docs/config.md");
  const groups = new Set([...settings.matchAll(/^- `(\w+)\.\w+`/gm)].map(([, group]) => group!));

  test("names settings and variables that exist", () => {
    const unknown = pages.flatMap(({ path, text }) => {
      const variables = text.match(/\b(?:TRUNKLINE|NATS|REDIS|UPSTASH|FLY)_[A-Z_]+[A-Z]\b/g) ?? [];
      const keys = [...text.matchAll(/`(\w+)\.(\w+)`/g)]
        .filter(([, group, key]) => groups.has(group!) && key !== "ts" && key !== "md")
        .map(([, group, key]) => `${group}.${key}`);
      return [...variables, ...keys]
        .filter((name) => !name.endsWith("_BIN")) // for tests alone
        .filter((name) => !settings.includes(`\`${name}`) && !secretFiles({ [name]: "a file" }).has(name))
        .map((name) => `${path}: ${name}`);
    });
    expect(unknown).toEqual([]);
  });

  test("names files and commands that exist", () => {
    const rows = read("src/main.ts") + read("src/cli/operate/commands.ts");
    const missing = pages.flatMap(({ path, text }) => {
      const files = text.match(/\b(?:src|tests|docs|deploy)\/[\w./-]+\.(?:ts|md|svg|png)\b/g) ?? [];
      const commands = [...text.matchAll(/(?:npx trunkline|^trunkline|src\/main\.ts) (\w+)/gm)].map(
        ([, name]) => name!,
      );
      return [
        ...files.filter((file) => !existsSync(join(ROOT, file))),
        ...commands.filter((name) => !rows.includes(`name: "${name}`) && name !== "token"),
      ].map((what) => `${path}: ${what}`);
    });
    expect(missing).toEqual([]);
  });

  test("links to what exists", () => {
    const broken = [...pages, ...RESULTS].flatMap(({ path, text }) => {
      const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
      const local = links.filter((target) => !target.startsWith("https://"));
      return local.filter((target) => !leads(path, target)).map((target) => `${path}: ${target}`);
    });
    expect(broken).toEqual([]);
  });

  test("is short", () => {
    // The change log is no page that anybody reads from end to end.
    const most = (path: string) => (path === "CHANGELOG.md" ? 400 : 220);
    const long = pages.filter(({ path, text }) => text.split("\n").length > most(path));
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  test("has tables that are read without scrolling", () => {
    const wide = [...pages, { path: "docs/config.md", text: settings }].flatMap(({ path, text }) =>
      text
        .split("\n")
        .flatMap((line, index) =>
          line.startsWith("|") && line.length > 120 ? [`${path}:${index + 1} has ${line.length}`] : [],
        ),
    );
    expect(wide, "shorten the cells, or write a list").toEqual([]);
  });

  test("is reached from README or docs/README", () => {
    const linked = ["README.md", "docs/README.md"].flatMap((path) =>
      [...read(path).matchAll(/\]\(([^)\s#]+)/g)].map(([, target]) => join(dirname(path), target!)),
    );
    const written = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
    const lost = written.map((name) => `docs/${name}`).filter((path) => !linked.includes(path));
    expect(lost).toEqual([]);
  });
});

/** Whether a link of a page leads to a file, and its fragment to a heading there. */
function leads(page: string, target: string): boolean {
  const [file = "", fragment] = target.split("#");
  const path = file === "" ? page : join(dirname(page), file);
  if (!existsSync(join(ROOT, path))) return false;
  if (fragment === undefined) return true;
  return read(path)
    .split("\n")
    .filter((line) => line.startsWith("#"))
    .some(
      (line) =>
        line
          .replace(/^#+ /, "")
          .toLowerCase()
          .replace(/[^\w -]/g, "")
          .replaceAll(" ", "-") === fragment,
    );
}

test("docs/limits.md lists every reason for which a user's limits refuse something", () => {
  expect(QUOTA_REASONS.filter((name) => !read("docs/limits.md").includes(`\`${name}\``))).toEqual([]);
});

test("docs/threat-model.md has the table of what is grown in tests", () => {
  const grown = [...read("tests/gateway/growth.test.ts").matchAll(/^ {4}what: "([^"]+)"/gm)].map(
    ([, what]) => what!,
  );
  expect(grown.length).toBeGreaterThan(4);
  const text = read("docs/threat-model.md").replace(/\n {2}/g, " ");
  expect(grown.filter((what) => !text.includes(`**${what}**`))).toEqual([]);
});

test("docs/articles.md has all rows, and every command and test that it names is there", () => {
  const rows = read("docs/articles.md")
    .split(/\n(?=\d+\. \*\*)/)
    .slice(1);
  expect(rows.map((row) => Number.parseInt(row, 10))).toEqual(Array.from({ length: 34 }, (_, i) => i + 1));
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Readonly<Record<string, string>> };
  const wrong = rows.flatMap((row) => {
    const named = [...row.matchAll(/`((?:e2e|unit|gateway|contract)\/[\w.-]+)`/g)].map(
      ([, path]) => `tests/${path}`,
    );
    const typed = [...row.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name!);
    const shown = [...named, ...typed, ...row.matchAll(/npx trunkline \w+|`bench\/million\.sh`/g)];
    return [
      ...named.filter((path) => !existsSync(join(ROOT, path))),
      ...typed.filter((name) => !(name in scripts)),
      ...(shown.length === 0 ? [`nothing shows ${row.split("\n")[0]}`] : []),
    ];
  });
  expect(wrong).toEqual([]);
});
