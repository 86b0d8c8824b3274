import { z } from "zod";
import { SharedAnswers } from "../core/shared-answers.ts";
import { INSTANCE_PATTERN } from "../core/subject.ts";
import { records } from "../shapes/records.ts";
import type { GatewayContext } from "./context.ts";
import type { InstanceInfo } from "./control.ts";
import type { Operations } from "./gateway.ts";
import { survey } from "./survey.ts";

/** About how many channels an instance tells in one answer: with the longest names they fit what NATS carries. */
const CHANNELS_AT_ONCE = 3_000;
/** Most questions for one list of channels, however many an instance says it has. */
const MOST_PARTS = 1_000;

const count = z.int().min(0);
const infoShape: z.ZodType<InstanceInfo> = z.object({
  ...{
    instance: z.string().regex(INSTANCE_PATTERN),
    region: z.string().max(64),
    version: z.string().max(64),
  },
  ...{ connections: count, users: count, channels: count, uptimeMs: count },
});
/** Channels by name. */
const channelsShape = records(count);

/** Every instance is asked once for all who ask for the same at the same time. */
export function surveys(context: GatewayContext): Pick<Operations, "channels" | "info"> {
  const counts = new SharedAnswers<Awaited<ReturnType<typeof countSubscribers>>>();
  const infos = new SharedAnswers<Awaited<ReturnType<typeof listInstances>>>();
  return {
    channels: (pattern) => counts.ask(JSON.stringify([pattern]), () => countSubscribers(context, pattern)),
    info: () => infos.ask("", () => listInstances(context)),
  };
}

async function listInstances(
  context: GatewayContext,
): Promise<{ instances: InstanceInfo[]; partial: boolean }> {
  const { answers, partial } = await survey(context, "info", {}, infoShape);
  return { instances: answers, partial };
}

/** Channels with subscribers on any instance, with their number. @param pattern a glob; absent: all */
async function countSubscribers(
  context: GatewayContext,
  pattern: string | undefined,
): Promise<{ channels: Map<string, number>; partial: boolean }> {
  const channels = new Map<string, number>();
  const exact = pattern !== undefined && !pattern.includes("*");
  const sizes = exact ? undefined : await survey(context, "info", {}, infoShape);
  const most = Math.max(0, ...(sizes?.answers ?? []).map((info) => info.channels));
  const of = Math.min(MOST_PARTS, Math.max(1, Math.ceil(most / CHANNELS_AT_ONCE)));
  let partial = sizes?.partial ?? false;
  for (let part = 0; part < of; part++) {
    const body = of === 1 ? { pattern } : { pattern, part, of };
    const found = await survey(context, "channels", body, channelsShape);
    partial ||= found.partial;
    for (const answer of found.answers) {
      for (const [id, subscribers] of Object.entries(answer)) {
        channels.set(id, (channels.get(id) ?? 0) + subscribers);
      }
    }
  }
  return { channels, partial };
}
