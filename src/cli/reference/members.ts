import type { JsonSchema } from "../../http/json-schema.ts";

/** Longest line of a page. */
const WIDTH = 120;

/**
 * Members of an object, as a list: name, kind, what it is. Members of objects in it stand below, indented.
 * @param asked of what is asked: says what must be there
 */
export function memberList(
  { properties = {}, required = [] }: JsonSchema,
  asked: boolean,
  depth = 0,
): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const { description } = schema;
    const must = asked && required.includes(name) && schema.default === undefined ? ", required" : "";
    const fallback = isPlain(schema.default) ? `, default \`${JSON.stringify(schema.default)}\`` : "";
    const text = `- \`${name}\` (${kindOf(schema)}${must}${fallback})${description ? `: ${description}` : ""}`;
    return [...wrap(text, depth), ...memberList(inner(schema), asked, depth + 1)];
  });
}

/** Text on lines of a page's width, indented as an item of a list at some depth; the further lines stand below the first. */
export function wrap(text: string, depth = 0): string[] {
  const [first, further] = ["  ".repeat(depth), "  ".repeat(text.startsWith("- ") ? depth + 1 : depth)];
  const lines: string[] = [];
  let line = first;
  for (const word of text.split(" ")) {
    const blank = line.trim() === "";
    if (!blank && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = further + word;
    } else line += blank ? word : ` ${word}`;
  }
  return [...lines, line];
}

function isPlain(value: unknown): boolean {
  return ["string", "number", "boolean"].includes(typeof value);
}

/** The object whose members are listed below: the value itself, an item of a list, or a value of a map. */
function inner(schema: JsonSchema): JsonSchema {
  if (schema.items) return inner(schema.items);
  const values = schema.additionalProperties;
  if (typeof values === "object" && !schema.properties) return inner(values);
  const given = schema.anyOf?.find(({ properties }) => properties);
  return given ?? schema;
}

/** What kind of value it is, in a few words. */
function kindOf(schema: JsonSchema): string {
  const { type, anyOf, items, additionalProperties: inside } = schema;
  const values = schema.enum ?? schema.examples;
  if (values) return values.map((one) => `\`${String(one)}\``).join(", ");
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (anyOf) {
    const kinds = anyOf.filter(({ type: one, const: only }) => one !== "null" && only !== "").map(kindOf);
    return [...new Set(kinds)].join(" or ");
  }
  if (type === "array") return items ? `list: ${kindOf(items)}` : "list";
  if (type === "object") {
    return typeof inside === "object" && !schema.properties ? `object of ${kindOf(inside)}` : "object";
  }
  return KINDS[type ?? ""] ?? "JSON";
}

const KINDS: Readonly<Record<string, string>> = {
  string: "text",
  integer: "whole number",
  number: "number",
  boolean: "`true` or `false`",
};
