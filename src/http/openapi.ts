import { z } from "zod";
import { METHODS } from "./api-methods.ts";
import { DESCRIPTIONS } from "./api-results.ts";
import { batchShape, NOT_SERVED } from "./api-shapes.ts";

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

/** The parameters of every method, `batch` too, as the server checks them. */
export function methodShapes(): ReadonlyMap<string, z.ZodType> {
  return new Map([
    ...[...METHODS].map(([name, { params }]) => [name, params] as const),
    ["batch", batchShape],
  ]);
}

/** The OpenAPI document of the server API, made from the shapes that the server checks by. @param version of the product */
export function openApi(version: string): object {
  const paths = [...methodShapes()].map(([name, params]) => [
    `/api/${name}`,
    { post: operation(name, params) },
  ]);
  return {
    openapi: "3.1.0",
    info: {
      title: "Trunkline server API",
      version,
      description:
        "Calls of backends, in the shape of Centrifugo's server API. Members that no method knows are passed over. " +
        "Errors of a method come with status 200.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "http://localhost:8080" }],
    security: [{ key: [] }, { authorization: [] }],
    paths: Object.fromEntries(paths),
    components: {
      schemas: {
        Error: {
          type: "object",
          properties: { code: { type: "integer" }, message: { type: "string" } },
          required: ["code", "message"],
        },
      },
      responses: Object.fromEntries(
        Object.entries(STATUSES).map(([, { name, description }]) => [name, { description }]),
      ),
      securitySchemes: {
        key: { type: "apiKey", in: "header", name: "X-API-Key" },
        authorization: {
          ...{ type: "apiKey", in: "header", name: "Authorization" },
          description: "`apikey <key>`",
        },
      },
    },
  };
}

/** Answers that are no answer of a method. */
const STATUSES: Readonly<Record<string, { readonly name: string; readonly description: string }>> = {
  400: { name: "NoJson", description: "The body is no JSON." },
  401: { name: "Unauthorized", description: "The key is missing or wrong." },
  413: { name: "TooLarge", description: "The body is longer than `http.maxRequest`." },
  429: { name: "TooMany", description: "Too many wrong keys from this address, or too many requests." },
};

function operation(name: string, params: z.ZodType): object {
  const { summary, result } = DESCRIPTIONS[name]!;
  const refused = Object.entries(NOT_SERVED[name] ?? {}).map(([member, why]) => `\`${member}\` (${why})`);
  const failed = { type: "object", properties: { error: ERROR }, required: ["error"] };
  const answered =
    name === "batch"
      ? jsonSchema(result)
      : { type: "object", properties: { result: jsonSchema(result) }, required: ["result"] };
  return {
    operationId: name,
    summary,
    ...(refused.length > 0 && { description: `Refused with error 108: ${refused.join(", ")}.` }),
    requestBody: {
      required: true,
      content: { "application/json": { schema: jsonSchema(params) } },
    },
    responses: {
      200: {
        description: "The result, or an error of the method.",
        content: { "application/json": { schema: { oneOf: [answered, failed] } } },
      },
      ...Object.fromEntries(
        Object.entries(STATUSES).map(([status, { name: response }]) => [
          status,
          { $ref: `#/components/responses/${response}` },
        ]),
      ),
    },
  };
}

const ERROR = { $ref: "#/components/schemas/Error" };
