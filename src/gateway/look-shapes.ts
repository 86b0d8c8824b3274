import { z } from "zod";
import type { NamespaceRules } from "../core/namespace.ts";
import type { InspectedConnection } from "./instance/inspect.ts";
import type { Trouble } from "./instance/trouble.ts";

/** What the server API and the command line ask about a user, and about a channel. */
export const userRequest = z.strictObject({
  user: z.string().min(1).max(255).describe("Id of the user."),
});
export const channelRequest = z.strictObject({
  channel: z.string().min(1).max(255).describe("Name of the channel, such as `chat:room.42`."),
});

/** Where something is. */
export interface Place {
  readonly instance: string;
  readonly region: string;
}

/** What is known of a user, on all instances. */
export interface UserLook {
  readonly user: string;
  readonly blocked: boolean;
  readonly connections: readonly (InspectedConnection & Place)[];
  /** What was refused to it, and how its connections ended, of late; the newest first. */
  readonly troubles: readonly (Trouble & Place)[];
  /** Some instances may not have answered. */
  readonly partial: boolean;
}

/** A message that a channel keeps, without its body. */
interface KeptMessage {
  readonly offset: number;
  /** When it was stored, Unix ms. */
  readonly atMs: number;
  readonly bytes: number;
  readonly user?: string;
  readonly priority?: string;
}

/** What is known of a channel, on all instances and in the store. */
export interface ChannelLook {
  readonly channel: string;
  /** The rules of its namespace, as they are in force. */
  readonly settings: NamespaceRules;
  readonly subscribers: number;
  /** Instances that follow it. `offset`: how far each has come. */
  readonly instances: readonly (Place & { readonly subscribers: number; readonly offset: number })[];
  /** Where the namespace has presence. */
  readonly presence?: { readonly clients: number; readonly users: number; readonly partial: boolean };
  /** Where the namespace has a history: its end, and what is kept before it. */
  readonly position?: { readonly offset: number; readonly epoch: string };
  readonly oldest?: KeptMessage;
  readonly newest?: KeptMessage;
  /** Why the store could not be read. */
  readonly failure?: string;
  readonly partial: boolean;
}
