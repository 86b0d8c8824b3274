import type { Session } from "../gateway/session/session.ts";
import { PusherCloses } from "../protocol/pusher/codes.ts";
import type { PusherState } from "./state.ts";

interface Waiting {
  readonly session: Session;
  readonly state: PusherState;
  /** On the monotonic clock, ms. */
  readonly until: number;
}

/**
 * Connections of apps that want theirs authorized: who has proven nothing in time is closed for good. One list for each app,
 * in the order of their coming, which is that of their deadlines.
 */
export class Unauthorized {
  readonly #lists = new Map<string, Waiting[]>();

  add(session: Session, state: PusherState): void {
    const { id, limits } = state.app;
    const list = this.#lists.get(id) ?? [];
    this.#lists.set(id, list);
    list.push({ session, state, until: performance.now() + limits.authorizationTimeoutMs });
  }

  /** Closes those whose time is over; to be called every second. */
  tick(): void {
    const now = performance.now();
    for (const list of this.#lists.values()) {
      const waiting = list.findIndex(({ until }) => until > now);
      for (const { session, state } of list.splice(0, waiting < 0 ? list.length : waiting)) {
        if (state.authorized || !session.live) continue;
        const { code, reason } = PusherCloses.unauthorized;
        session.close({
          code,
          reason: `${reason} within ${state.app.limits.authorizationTimeoutMs / 1000} s`,
        });
      }
    }
  }
}
