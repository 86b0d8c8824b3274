import type { InstanceRecord } from "../presence/presence.ts";
import type { GatewayContext } from "./context.ts";
import { onSignal, type SignalKind } from "./control.ts";

/** How long a survey waits for instances that do not answer, ms. */
const SURVEY_MS = 1_000;

/**
 * Asks every instance. When presence does not know how many there are, whoever answers in time is heard; this instance
 * answers in any case. `known`: those with a lease; `partial`: some may be missing.
 * @param instance only this one
 */
export async function survey(
  context: GatewayContext,
  kind: SignalKind,
  body: object,
  instance?: string,
): Promise<{ answers: readonly unknown[]; known: readonly InstanceRecord[]; partial: boolean }> {
  const { instances: known, partial } =
    instance === undefined ? await context.presence.instances() : { instances: [], partial: false };
  const expect = Math.max(1, known.length);
  const answers = await context.broker.survey(kind, body, {
    ...(!partial && { expect }),
    ...(instance !== undefined && { to: { instance } }),
    timeoutMs: SURVEY_MS,
  });
  // Without a broker not even one's own answer comes.
  const own = instance === undefined || instance === context.instance;
  if (answers.length === 0 && own) answers.push(onSignal(context, kind, body));
  return { answers, known, partial: partial || answers.length < expect };
}
