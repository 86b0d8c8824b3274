import { type AnyEventKind, eventShapes } from "../../events/shapes.ts";
import { type JsonSchema, jsonSchema } from "../../http/json-schema.ts";

/** A member of an event, as a language without JSON Schema has it. */
export interface EventMember {
  readonly name: string;
  readonly type: "string" | "integer" | "number" | "boolean" | "any";
  readonly required: boolean;
  readonly description: string;
  /** The values that there are today. */
  readonly values?: readonly unknown[] | undefined;
}

/** A kind of event. */
interface EventDescription {
  readonly kind: AnyEventKind;
  /** Of the type that stands for it, such as `ConnectEvent`. */
  readonly typeName: string;
  readonly schema: JsonSchema;
  readonly description: string;
  /** All but `type`. */
  readonly members: readonly EventMember[];
}

/** Every event, in the order of the page. */
export function eventKinds(): EventDescription[] {
  return Object.entries(eventShapes).map(([kind, shape]) => {
    const { additionalProperties: _, ...schema } = jsonSchema(shape);
    const { description = "", properties = {}, required = [] } = schema;
    const members = Object.entries(properties).filter(([name]) => name !== "type");
    return {
      ...{ kind: kind as AnyEventKind, schema, description },
      typeName: `${kind[0]!.toUpperCase()}${kind.slice(1)}Event`,
      members: members.map(([name, member]) => ({
        ...{ name, description: member.description ?? "", values: member.examples },
        type: typeOf(member),
        required: required.includes(name),
      })),
    };
  });
}

function typeOf({ type }: JsonSchema): EventMember["type"] {
  return type === "string" || type === "integer" || type === "number" || type === "boolean" ? type : "any";
}
