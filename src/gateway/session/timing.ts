import type { GatewayContext } from "../context.ts";
import type { Session } from "./session.ts";

interface Timed {
  /** One of few: never a word of the client's. */
  readonly method: string;
  /** Of a command that subscribes. */
  readonly subscribedTo: string | undefined;
  /** `ok`, or what the failure is counted under. */
  readonly code: string;
  /** Of the monotonic clock. */
  readonly sinceMs: number;
}

/** Notes how long a command took until its answer, and how it ended. */
export function noteTime(
  { stats, hub }: Pick<GatewayContext, "stats" | "hub">,
  session: Session,
  { method, subscribedTo, code, sinceMs }: Timed,
): void {
  const ms = performance.now() - sinceMs;
  stats.commandLatency.observeMs(ms, method, code);
  if (subscribedTo === undefined) return;
  const name = session.subs.get(subscribedTo)?.channel.name;
  stats.subscribeLatency.observeMs(ms, name?.namespace ?? namespaceOf(hub, subscribedTo), code);
}

/** Of a channel that a client named; `other` where there is none of that name. */
function namespaceOf(hub: GatewayContext["hub"], channel: string): string {
  try {
    return hub.resolve(channel).namespace;
  } catch {
    return "other";
  }
}
