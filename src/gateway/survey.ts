import type { z } from "zod";
import type { InstanceRecord } from "../presence/presence.ts";
import type { GatewayContext } from "./context.ts";
import { onSignal, type SignalKind } from "./control.ts";
import { readAnswers } from "./instance/answers.ts";

/** How long a survey waits for instances that do not answer, ms. */
export const SURVEY_MS = 1_000;

/**
 * Asks every instance. When presence does not know how many there are, whoever answers in time is heard; this instance
 * answers in any case. `known`: those with a lease; `partial`: some may be missing.
 * @param shape of an answer: what has another one is left out
 * @param instance only this one
 */
export async function survey<T>(
  context: GatewayContext,
  kind: SignalKind,
  body: object,
  shape: z.ZodType<T>,
  instance?: string,
): Promise<{ answers: T[]; known: readonly InstanceRecord[]; partial: boolean }> {
  const { instances: known, partial } =
    instance === undefined ? await context.presence.instances() : { instances: [], partial: false };
  const expect = Math.max(1, known.length);
  const told = await context.broker.survey(kind, body, {
    ...(!partial && { expect }),
    ...(instance !== undefined && { to: { instance } }),
    timeoutMs: SURVEY_MS,
  });
  const answers = readAnswers(context, kind, shape, told);
  // Without a broker not even one's own answer comes.
  const own = instance === undefined || instance === context.instance;
  if (answers.length === 0 && own) {
    answers.push(...readAnswers(context, kind, shape, [onSignal(context, kind, body)]));
  }
  return { answers, known, partial: partial || answers.length < expect };
}
