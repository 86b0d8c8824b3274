import type { Position } from "../core/position.ts";
import type { Channel } from "../gateway/channel/channel.ts";
import type { PusherApp } from "./apps.ts";

/** A user that has signed in. */
export interface SignedIn {
  readonly id: string;
  /** JSON text. */
  readonly info?: string;
}

/** Where in a channel a client was on its last connection: behind so many messages after a position. */
export interface ResumePoint {
  readonly from: Position;
  readonly count: number;
}

/** What only a connection of the Pusher protocol has. */
export class PusherState {
  readonly app: PusherApp;
  user: SignedIn | undefined;
  /** User channels whose user the signed-in user follows; pinned. */
  watched: readonly Channel[] = [];
  /** The client counts what it gets, and comes back by it: it is told positions. */
  resumes = false;
  /** By channel name, until it is subscribed again. */
  points: Map<string, ResumePoint> | undefined;
  /** The connections the client had before: what was not for them is not for this one. */
  previousIds: readonly string[] = [];

  constructor(app: PusherApp) {
    this.app = app;
  }
}
