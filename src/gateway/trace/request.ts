import { z } from "zod";

const name = z.string().min(1).max(255);

const filter = {
  user: name.optional().describe("Steps of this user's connections."),
  channel: name.optional().describe("Steps of this channel, such as `chat:room.42`."),
  client: name.optional().describe("Steps of this connection, by its client id."),
  instance: name.optional().describe("Only on this instance, as `info` names it. Default: on all."),
};

/** What a trace is about: all that is named must fit. */
export const traceRequest = z
  .strictObject({
    ...filter,
    payloads: z
      .boolean()
      .default(false)
      .describe("Show the bodies of messages, where `trace.payloads` allows it."),
  })
  .refine((asked) => isNamed(asked), "name a user, a channel, a client or an instance");

export type TraceRequest = z.infer<typeof traceRequest>;

function isNamed({
  user,
  channel,
  client,
  instance,
}: { [Name in keyof typeof filter]?: string | undefined }) {
  return (user ?? channel ?? client ?? instance) !== undefined;
}

/** Ids of traces, and names of who looks: one token of a subject. */
const token = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);

/** From who looks to every instance: begins a trace there, or lets it go on for {@link LEASE_MS}. */
export const tapSignal = z.object({
  ...{ id: token, at: token, ...filter },
  payloads: z.boolean().optional(),
});

export type TapSignal = z.infer<typeof tapSignal>;

/** From who looks: nobody does any more. */
export const untapSignal = z.object({ id: token });

/** A tap ends so long after its last {@link tapSignal}, ms. */
export const LEASE_MS = 15_000;

/** What an instance answers to a {@link tapSignal}. */
export const tapAnswer = z.object({
  instance: z.string(),
  /** Whether bodies of messages are shown. */
  payloads: z.boolean(),
  /** It serves as many traces as it may. */
  busy: z.boolean(),
});

export type TapAnswer = z.infer<typeof tapAnswer>;

/** One step in the life of a connection or channel. `at` in Unix ms; what else it has depends on the step. */
export interface TraceStep {
  readonly at: number;
  readonly step: string;
  readonly client?: string | undefined;
  readonly user?: string | undefined;
  readonly channel?: string | undefined;
  readonly [fact: string]: unknown;
}

/** Most steps that come in one signal. */
export const MOST_STEPS = 500;

/** From an instance to who looks: what was seen since the last one. */
export const tappedSignal = z.object({
  ...{ id: token, instance: z.string(), region: z.string() },
  dropped: z.int().min(0),
  steps: z.array(z.looseObject({ at: z.number(), step: z.string() })).max(MOST_STEPS),
});

/** Steps of one instance; `dropped`: so many more there were, too many to send. */
export type TraceBatch = z.infer<typeof tappedSignal>;
