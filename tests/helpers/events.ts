import { expect } from "bun:test";
import { z } from "zod";
import { type AnyEventKind, eventShapes } from "../../src/events/shapes.ts";

const strict = new Map(
  Object.entries(eventShapes).map(([kind, shape]) => {
    const { properties = {} } = z.toJSONSchema(shape, { unrepresentable: "any" });
    const values = Object.entries(properties).flatMap(([name, member]) => {
      const { examples } = member as { examples?: unknown[] };
      return examples ? [[name, examples] as const] : [];
    });
    return [kind as AnyEventKind, { shape: z.strictObject(shape.shape as z.ZodRawShape), values }];
  }),
);

/** Holds an event to its shape: every member is one of its kind's, and no value another than those that are named. */
export function expectEvent(event: object): void {
  const told = event as Record<string, unknown>;
  const kind = strict.get(told.type as AnyEventKind);
  expect(kind, `${told.type} is a kind`).toBeDefined();
  const { success, error } = kind!.shape.safeParse(told);
  if (!success) expect({ event, wrong: error.issues }).toEqual({ event, wrong: [] });
  for (const [name, values] of kind!.values) {
    if (name in told) expect(values, `${name} of ${told.type}`).toContain(told[name]);
  }
}
