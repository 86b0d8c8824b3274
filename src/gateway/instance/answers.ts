import type { z } from "zod";
import type { PacedLog } from "../../core/paced-log.ts";
import { Stats } from "../../core/stats.ts";

/** Where answers that are none are counted and told. */
export interface BadAnswers {
  readonly stats: Stats;
  readonly badSignals: PacedLog;
}

/**
 * What other instances have answered to a survey, as far as it has the shape of an answer: who hears a question may answer
 * anything. The rest is left out, counted, and told without what was in it.
 */
export function readAnswers<T>(
  { stats, badSignals }: BadAnswers,
  kind: string,
  shape: z.ZodType<T>,
  answers: readonly unknown[],
): T[] {
  return answers.flatMap((answer) => {
    const read = shape.safeParse(answer);
    if (read.success) return [read.data];
    Stats.bump(stats.badSignals, "answer");
    badSignals.warn("an instance's answer is ignored", { kind });
    return [];
  });
}
