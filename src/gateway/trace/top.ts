import { CommandError, Errors } from "../../core/errors.ts";
import type { GatewayContext } from "../context.ts";
import { survey } from "../survey.ts";
import {
  type Busy,
  beganAnswer,
  type Measured,
  measuredAnswer,
  type Top,
  type TopRequest,
  total,
} from "./busy.ts";

/** Counts who is busy on all instances. @throws CommandError limitExceeded: nobody counts for one more */
export async function top(context: GatewayContext, { seconds, limit }: TopRequest): Promise<Top> {
  const id = crypto.randomUUID();
  const begun = await survey(context, "measure", { id, seconds }, beganAnswer);
  if (!begun.answers.some(({ counts }) => counts))
    throw new CommandError(Errors.limitExceeded, "too many are counting already");
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  const { answers: told, partial } = await survey(context, "measured", { id }, measuredAnswer);
  return {
    seconds,
    channels: summed(told, ({ channels }) => channels, true).slice(0, limit),
    connections: told
      .flatMap(({ instance, connections }) => connections.map((one) => ({ ...one, instance })))
      .sort(byTotal)
      .slice(0, limit),
    users: summed(told, ({ users }) => users, false).slice(0, limit),
    instances: told.map(ofInstance).sort(byTotal).slice(0, limit),
    partial: partial || begun.partial || told.length < begun.answers.length,
  };
}

const byTotal = (one: Busy, other: Busy) => total(other) - total(one);

/**
 * What is on several instances, together. @param everywhere each instance was given the same messages, and what was
 * published is what the one that was given most has seen
 */
function summed(
  told: readonly Measured[],
  of: (one: Measured) => readonly Busy[],
  everywhere: boolean,
): Busy[] {
  const all = new Map<string, Busy>();
  for (const one of told.flatMap(of)) {
    const sum = all.get(one.name);
    if (!sum) {
      all.set(one.name, { ...one });
      continue;
    }
    sum.messages_in = everywhere
      ? Math.max(sum.messages_in, one.messages_in)
      : sum.messages_in + one.messages_in;
    sum.bytes_in = everywhere ? Math.max(sum.bytes_in, one.bytes_in) : sum.bytes_in + one.bytes_in;
    sum.messages_out += one.messages_out;
    sum.bytes_out += one.bytes_out;
  }
  return [...all.values()].sort(byTotal);
}

/** An instance's traffic. */
function ofInstance({ instance, region, totals }: Measured): Busy & { region: string } {
  return { name: instance, region, ...totals };
}
