import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { reference } from "../../src/cli/reference/pages.ts";
import { METHODS } from "../../src/http/api-methods.ts";
import { DESCRIPTIONS } from "../../src/http/api-results.ts";
import { NOT_SERVED } from "../../src/http/api-shapes.ts";
import { type JsonSchema, jsonSchema } from "../../src/http/json-schema.ts";
import { methodShapes, openApi } from "../../src/http/openapi.ts";

const written = (name: string) => readFileSync(join(import.meta.dir, "../../docs", name), "utf8");

describe("what is generated from the shapes of the server is current", () => {
  test.each([
    ["api", "api.md"],
    ["control", "control.md"],
    ["openapi", "openapi.json"],
    ["events", "events.md"],
    ["events-schema", "events.schema.json"],
    ["events-python", "events/trunkline_events.py"],
    ["events-go", "events/trunklineevents.go"],
  ])("docs/%s (mend: npx bun src/main.ts config --reference %s > docs/%s)", (which, file) => {
    const command = `npx bun src/main.ts config --reference ${which} > docs/${file}`;
    expect(written(file).trimEnd(), `mend it: ${command}`).toBe(reference(which, manifest.version));
  });
});

test("every method is described, and every member of each", () => {
  expect(Object.keys(DESCRIPTIONS).toSorted()).toEqual([...METHODS.keys(), "batch"].toSorted());
  const bare = [...methodShapes()].flatMap(([name, shape]) =>
    Object.entries(jsonSchema(shape).properties ?? {})
      .filter(([, { description }]) => !description)
      .map(([member]) => `${name} ${member}`),
  );
  expect(bare).toEqual([]);
});

test("the document is sound: every reference leads somewhere, every operation has a name of its own", () => {
  const text = JSON.stringify(openApi("1.0.0"));
  const document = JSON.parse(text) as {
    paths: Record<string, { post: { operationId: string; description?: string } }>;
  };
  for (const [, pointer] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const found = pointer!
      .split("/")
      .reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], document);
    expect(found, pointer).toBeDefined();
  }
  const operations = Object.values(document.paths).map(({ post }) => post);
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(METHODS.size + 1);
  for (const [name, members] of Object.entries(NOT_SERVED)) {
    const { description } = document.paths[`/api/${name}`]!.post;
    for (const member of Object.keys(members)) expect(description).toContain(`\`${member}\``);
  }
});

test("generators of clients get no unions, no two members that differ in case, and a name for every object and list of values", () => {
  const { components, paths } = openApi("1.0.0") as {
    paths: object;
    components: { schemas: Record<string, { "x-enum-varnames"?: string[] }> };
  };
  const found: string[] = [];
  const look = (at: string, value: unknown, named: boolean): void => {
    if (typeof value !== "object" || value === null) return;
    const schema = value as Readonly<Record<string, unknown>>;
    for (const word of ["anyOf", "oneOf", "allOf", "default"])
      if (word in schema) found.push(`${at}: ${word}`);
    const { properties, enum: values } = schema;
    if (!named && (Array.isArray(values) || (schema.type === "object" && properties)))
      found.push(`${at}: no name`);
    const members = Object.keys(typeof properties === "object" ? properties! : {}).map((name) =>
      name.toLowerCase(),
    );
    if (new Set(members).size < members.length) found.push(`${at}: two of one name`);
    for (const [name, inner] of Object.entries(properties ?? {})) look(`${at}.${name}`, inner, false);
    for (const word of ["items", "additionalProperties", "schema"])
      look(`${at}.${word}`, schema[word], false);
    if ("content" in schema || "post" in schema || at.startsWith("/"))
      for (const [name, inner] of Object.entries(schema)) look(`/${at}.${name}`, inner, false);
  };
  for (const [name, schema] of Object.entries(components.schemas)) look(name, schema, true);
  look("/", paths, false);
  expect(found).toEqual([]);
  const names = Object.entries(components.schemas).flatMap(([name, schema]) => [
    name,
    ...(schema["x-enum-varnames"] ?? []),
  ]);
  expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(names.length);
  // oapi-codegen calls what it makes itself so.
  expect(names.filter((name) => /(Response|Params|RequestBody)$/.test(name))).toEqual([]);
});

test("a schema says what the server checks", () => {
  const { publish, history, disconnect } = Object.fromEntries(methodShapes()) as Record<string, never>;
  expect(jsonSchema(publish!)).toMatchObject({
    properties: { channel: { type: "string", minLength: 1 }, data: {}, skip_history: { type: "boolean" } },
    required: ["channel"],
  });
  const { limit } = (jsonSchema(history!) as JsonSchema).properties!;
  expect(limit).toMatchObject({ type: "integer", minimum: -1, maximum: 10_000, default: 0 });
  expect(jsonSchema(disconnect!).properties!.disconnect).toMatchObject({ required: ["code"] });
});
