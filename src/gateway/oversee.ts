import type { Broker } from "../broker/broker.ts";
import { CommandError, Errors } from "../core/errors.ts";
import { SharedAnswers } from "../core/shared-answers.ts";
import type { GatewayContext } from "./context.ts";
import { figuresShape } from "./instance/figures.ts";
import { inspectedShape } from "./instance/inspect.ts";
import type { FiguresAnswer, Oversight } from "./oversight.ts";
import { survey } from "./survey.ts";

/** Everybody who looks at the same time shares an answer. */
export function createOversight(context: GatewayContext): Oversight {
  const figures = new SharedAnswers<FiguresAnswer>();
  const streams = new SharedAnswers<Awaited<ReturnType<Oversight["streams"]>>>();
  const troubles = new SharedAnswers<Awaited<ReturnType<Oversight["troubles"]>>>();
  return {
    figures: () => figures.ask("", () => askFigures(context)),
    troubles: () => troubles.ask("", () => askTroubles(context)),
    streams: () => streams.ask("", () => askStreams(context.broker)),
    audit(audit) {
      context.events.audited(audit);
      context.log.info("audit", audit);
    },
  };
}

async function askStreams(broker: Broker): ReturnType<Oversight["streams"]> {
  // Else every read would wait for its time-out.
  if (broker.streams && broker.status().state !== "connected") {
    throw new CommandError(Errors.brokerUnavailable, "no connection to NATS");
  }
  return await broker.streams?.();
}

async function askFigures(context: GatewayContext): Promise<FiguresAnswer> {
  const { answers: instances, known, partial } = await survey(context, "figures", {}, figuresShape);
  const heard = new Set(instances.map(({ instance }) => instance));
  const missing = known
    .filter(({ instance }) => !heard.has(instance))
    .map(({ instance, region }) => ({ instance, region }));
  return { instances, missing, partial: partial || missing.length > 0 };
}

async function askTroubles(context: GatewayContext): ReturnType<Oversight["troubles"]> {
  const { answers: instances, known, partial } = await survey(context, "inspect", {}, inspectedShape);
  const troubles = instances.flatMap(({ instance, region, troubles: own }) =>
    own.map((trouble) => ({ ...trouble, instance, region })),
  );
  troubles.sort((one, other) => other.atMs - one.atMs);
  return { troubles, partial: partial || instances.length < known.length };
}
