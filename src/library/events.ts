import { z } from "zod";
import { type AnyEventKind, type EventOf, eventShapes } from "../events/shapes.ts";

export { type AnyEventKind, type EventKind, type EventOf, eventShapes } from "../events/shapes.ts";

/** One event, by its `type`: what stream RT_EVENTS stores. */
export type TrunklineEvent = { [K in AnyEventKind]: EventOf<K> }[AnyEventKind];

/** An event as webhooks have it. */
export type WebhookEvent = Exclude<TrunklineEvent, EventOf<"rejected">> & {
  /** The same in every repetition. */
  readonly id: string;
};

/** The body of a webhook's request. */
export interface WebhookRequest {
  readonly events: readonly WebhookEvent[];
}

const kindShape = z.looseObject({ type: z.string() });

/**
 * Reads one event: the body of a message of NATS, or an element of the events of a webhook, whose `id` it keeps. Members
 * that this version does not know are passed over.
 * @param value JSON text, or what it says
 * @returns `undefined` for a kind that this version does not know
 * @throws Error that says what is wrong with it
 */
export function readEvent(value: unknown): (TrunklineEvent & { readonly id?: string }) | undefined {
  const given = kindShape.parse(typeof value === "string" ? JSON.parse(value) : value);
  if (!Object.hasOwn(eventShapes, given.type)) return undefined;
  const shape = eventShapes[given.type as AnyEventKind].extend({ id: z.string().optional() });
  return shape.parse(given) as TrunklineEvent & { readonly id?: string };
}
