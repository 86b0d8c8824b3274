import type { JsonSchema } from "./json-schema.ts";

/* JSON Schemas as generators of clients want them: every object and every list of values under a name, and no unions. */

/** A schema within an OpenAPI document: itself, or where it stands. */
type ApiSchema = JsonSchema | { readonly $ref: string; readonly description?: string };

/** The named schemas of a document. */
export class NamedSchemas {
  readonly all: Record<string, object> = {};

  /**
   * Puts a schema, and what is in it, under names made of where they stand.
   * @param name such as `HistoryResult`; what is in it is named after it
   * @returns what stands in its place
   */
  put(name: string, given: JsonSchema): ApiSchema {
    const schema = withoutDefault(withoutUnions(given));
    const { description, properties, additionalProperties: values, items } = schema;
    if (schema.enum) return this.#ref(name, withNames(name, schema), description);
    if (properties) {
      const own = Object.entries(properties).filter(([member]) => !isOldSpelling(member, properties));
      const members = own.map(([member, inner]) => [member, this.put(name + pascal(member), inner)]);
      return this.#ref(name, { ...schema, properties: Object.fromEntries(members) }, description);
    }
    if (items) return { ...schema, items: this.put(`${name}Item`, items) as JsonSchema };
    if (typeof values !== "object") return schema;
    return { ...schema, additionalProperties: this.put(`${name}Value`, values) as JsonSchema };
  }

  #ref(name: string, schema: object, description: string | undefined): ApiSchema {
    this.all[name] = schema;
    return { $ref: `#/components/schemas/${name}`, ...(description !== undefined && { description }) };
  }
}

/** `null` and an empty text stand for what is not given, which no client needs; one of several objects is one of all. */
function withoutUnions({ anyOf, ...schema }: JsonSchema): JsonSchema {
  if (!anyOf) return schema;
  const kinds = anyOf.filter(({ type, const: only }) => type !== "null" && only !== "");
  const [first, second] = kinds;
  if (!second) return { ...first, ...schema };
  const required = (first!.required ?? []).filter((name) =>
    kinds.every((one) => one.required?.includes(name)),
  );
  return {
    ...schema,
    type: "object",
    properties: Object.assign({}, ...kinds.map(({ properties }) => properties)),
    ...(required.length > 0 && { required }),
  };
}

/** Generators take a member with a default for one that is always there: the description says it. */
function withoutDefault({ default: value, ...schema }: JsonSchema): JsonSchema {
  if (value === undefined) return schema;
  const { description = "" } = schema;
  const said = value === "" || typeof value === "object" ? "" : ` Default: ${JSON.stringify(value)}.`;
  return { ...schema, description: `${description}${said}`.trim() };
}

/** Constants of Go and others are known everywhere in a package, so they are named after their schema. */
function withNames(name: string, { description: _, ...schema }: JsonSchema): object {
  return { ...schema, "x-enum-varnames": schema.enum!.map((value) => name + pascal(String(value))) };
}

/** What SDKs of long ago call a member that has a name of today: the same but for the case of its letters. */
function isOldSpelling(member: string, all: Readonly<Record<string, unknown>>): boolean {
  const plain = member[0]!.toLowerCase() + member.slice(1);
  return plain !== member && (plain in all || /^[A-Z]/.test(member));
}

/** `skip_history` becomes `SkipHistory`. */
export function pascal(name: string): string {
  return name.replaceAll(/(?:^|[^a-zA-Z0-9]+)([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
