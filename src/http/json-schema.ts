import { z } from "zod";

/** A JSON Schema (2020-12), as far as it is looked at here. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly const?: unknown;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
}

/** A shape of the server as a JSON Schema: of what it takes, or of what it answers. What JSON cannot say is left out. */
export function jsonSchema(shape: z.ZodType): JsonSchema {
  const schema = z.toJSONSchema(shape, {
    ...{ io: "input", unrepresentable: "any" },
    override({ jsonSchema: made }) {
      // JavaScript's bounds and the keys of records say nothing that JSON does not.
      if (made.maximum === Number.MAX_SAFE_INTEGER) delete made.maximum;
      if (made.minimum === Number.MIN_SAFE_INTEGER) delete made.minimum;
      delete made.propertyNames;
    },
  });
  delete schema.$schema;
  return schema as JsonSchema;
}
