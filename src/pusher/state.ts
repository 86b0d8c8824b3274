import { type Bucket, fullBucket, take } from "../core/limits.ts";
import type { Position } from "../core/position.ts";
import type { Channel } from "../gateway/channel/channel.ts";
import type { PusherApp } from "./apps.ts";

/** A user that has signed in. */
export interface SignedIn {
  readonly id: string;
  /** JSON text. */
  readonly info?: string;
}

/** Where in a channel a client was on its last connection: a position, and how many messages it got after it. */
export interface ResumePoint {
  readonly from: Position;
  readonly count: number;
}

/** What only a connection of the Pusher protocol has. */
export class PusherState {
  readonly app: PusherApp;
  user: SignedIn | undefined;
  /** It has signed in, or joined a channel that takes a signature. */
  authorized = false;
  /** User channels whose user the signed-in user follows; pinned. */
  watched: readonly Channel[] = [];
  /** The client counts what it gets, and comes back by it: it is told positions. */
  resumes = false;
  /** By channel name, until it is subscribed again. */
  points: Map<string, ResumePoint> | undefined;
  /** Ids of the client's previous connections: messages that excluded them are not for this one either. */
  previousIds: readonly string[] = [];
  #subscribes = 0;
  /** Client events left; made with the first one under a limit. */
  #clientEvents: Bucket | undefined;

  constructor(app: PusherApp) {
    this.app = app;
  }

  /**
   * Counts a subscribe or its end. Returns true for two of each channel that the client may have: who comes back
   * subscribes to all of them at once, each in a frame of its own, and may have changed its mind.
   */
  countSubscribe(): boolean {
    return ++this.#subscribes <= 2 * this.app.limits.channels;
  }

  /** Takes one from the connection's client events. Returns false when there is none left. */
  takeClientEvent(): boolean {
    const perSecond = this.app.limits.clientEventsPerSecond;
    if (perSecond === 0) return true;
    const rate = { perSecond, burst: perSecond };
    const now = performance.now();
    this.#clientEvents ??= fullBucket(rate, now);
    return take(this.#clientEvents, rate, now);
  }
}
