import { z } from "zod";

/** Most events that one answer shows. */
export const MAX_LOOK = 1_000;

const line = z.string().min(1).max(512).describe("Name of the line, as `outbox` shows it.");

/** What the server API, requests on `rtctl.` and the command line ask of the outbox. */
export const outboxRequests = {
  /** The lines, with how many events wait and how many were set aside. */
  outbox: z.strictObject({}),
  /** Events of a line: those that were set aside, or with `waiting` those that wait. */
  outbox_look: z.strictObject({
    line,
    waiting: z.boolean().optional().describe("What waits, not what was set aside."),
    limit: z.int().min(1).max(MAX_LOOK).default(100).describe("Most events."),
  }),
  /** Puts events that were set aside back at the end of their line: one of them, or all. */
  outbox_replay: z.strictObject({
    line,
    id: z.string().min(1).max(512).optional().describe("This event alone."),
  }),
} as const;

export type OutboxMethod = keyof typeof outboxRequests;
