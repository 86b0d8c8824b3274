import { z } from "zod";

/** What the server API and the command line ask for. */
export const topRequest = z.strictObject({
  seconds: z.number().min(0.1).max(30).default(2).describe("How long is counted, and the answer takes."),
  limit: z.int().min(1).max(100).default(10).describe("Most of each kind."),
});

export type TopRequest = z.infer<typeof topRequest>;

/** Who is busy, the busiest first; figures are of the whole time, and may be too low for those that are not. */
export interface Top {
  readonly seconds: number;
  readonly channels: readonly Busy[];
  readonly connections: readonly (Busy & { readonly user: string; readonly instance: string })[];
  readonly users: readonly Busy[];
  readonly instances: readonly (Busy & { readonly region: string })[];
  /** Some instances may not have answered, or have counted for too many others. */
  readonly partial: boolean;
}

const id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);

/** Counts who is busy, for so many seconds. */
export const measureSignal = z.object({ id, seconds: z.number().min(0).max(60) });

/** Ends that, and tells. */
export const measuredSignal = z.object({ id });

/** Most of each kind that an instance tells. */
export const MOST_BUSY = 100;

const count = z.number().min(0);
/** Messages and bytes that came of it, and that went to it. */
const traffic = { messages_in: count, bytes_in: count, messages_out: count, bytes_out: count };
const busy = z.object({ name: z.string(), ...traffic });

/** What an instance answers that is to count. */
export const beganAnswer = z.object({ instance: z.string(), counts: z.boolean() });

/** What an instance answers: the busiest, by the bytes that went to them and came of them. */
export const measuredAnswer = z.object({
  ...{ instance: z.string(), region: z.string(), seconds: count },
  /** All that it got of its clients, and sent to them. */
  totals: z.object(traffic),
  channels: z.array(busy).max(MOST_BUSY),
  connections: z.array(busy.extend({ user: z.string() })).max(MOST_BUSY),
  users: z.array(busy).max(MOST_BUSY),
});

export type Measured = z.infer<typeof measuredAnswer>;
export type Busy = z.infer<typeof busy>;

/** What the busiest are sorted by. */
export const total = ({ bytes_in: sent, bytes_out: received }: Pick<Busy, "bytes_in" | "bytes_out">) =>
  sent + received;
