import type { z } from "zod";
import { METHODS } from "./api-methods.ts";
import { DESCRIPTIONS } from "./api-results.ts";
import { batchShape, NOT_SERVED } from "./api-shapes.ts";
import { type JsonSchema, jsonSchema } from "./json-schema.ts";
import { NamedSchemas, pascal } from "./openapi-schemas.ts";

/** The parameters of every method, `batch` too, as the server checks them. */
export function methodShapes(): ReadonlyMap<string, z.ZodType> {
  return new Map([
    ...[...METHODS].map(([name, { params }]) => [name, params] as const),
    ["batch", batchShape],
  ]);
}

/** The OpenAPI document of the server API, made from the shapes that the server checks by. @param version of the product */
export function openApi(version: string): object {
  const schemas = new NamedSchemas();
  schemas.put("Error", ERROR);
  const paths = [...methodShapes()].map(([name, params]) => [
    `/api/${name}`,
    { post: operation(schemas, name, params) },
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
      schemas: schemas.all,
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

function operation(schemas: NamedSchemas, name: string, params: z.ZodType): object {
  const { summary, result } = DESCRIPTIONS[name]!;
  const refused = Object.entries(NOT_SERVED[name] ?? {}).map(([member, why]) => `\`${member}\` (${why})`);
  const named = pascal(name);
  const answered = jsonSchema(result);
  const members =
    name === "batch" ? answered.properties : { result: schemas.put(`${named}Result`, answered) };
  const answer: JsonSchema = {
    ...{ type: "object", description: "The result, or an error." },
    properties: { ...members, error: ERROR_REF } as JsonSchema["properties"] & object,
  };
  return {
    operationId: name,
    summary,
    ...(refused.length > 0 && { description: `Refused with error 108: ${refused.join(", ")}.` }),
    requestBody: {
      required: true,
      content: { "application/json": { schema: schemas.put(`${named}Request`, jsonSchema(params)) } },
    },
    responses: {
      200: {
        description: "The result, or an error of the method.",
        content: { "application/json": { schema: schemas.put(`${named}Answer`, answer) } },
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

const ERROR: JsonSchema = {
  ...{ type: "object", properties: { code: { type: "integer" }, message: { type: "string" } } },
  required: ["code", "message"],
};
const ERROR_REF = { $ref: "#/components/schemas/Error" } as JsonSchema;
