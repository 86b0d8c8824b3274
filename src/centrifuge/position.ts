import { MAX_INT32 } from "../core/numbers.ts";
import type { Position } from "../core/position.ts";
import { Stats } from "../core/stats.ts";
import type { KeptAfter } from "../gateway/channel/recovery.ts";
import type { GatewayContext } from "../gateway/context.ts";
import { encoderOf, type Subscription } from "../gateway/session/subscription.ts";
import { chunkBytes, firstChunk } from "../gateway/subscribe/catch-up.ts";
import { noteUnrecovered } from "../gateway/subscribe/unrecovered.ts";
import type { RecoverRequest } from "../protocol/centrifuge/command.ts";
import type { SubscribeResult } from "../protocol/centrifuge/replies.ts";
import type { CentrifugeSession } from "./session.ts";

/**
 * The part of an answer that says where the subscriber is in the channel, and brings what it missed. Synchronous: the
 * caller sends it and lets publications through in the same step.
 */
export function positionResult(
  context: GatewayContext,
  session: CentrifugeSession,
  sub: Subscription,
  from: RecoverRequest | undefined,
  kept?: KeptAfter,
): { result: SubscribeResult; behind?: Position; unproven?: boolean } {
  const { channel, overrides, expiresAt } = sub;
  const { rules, position } = channel;
  const keeps = rules.history !== null && rules.recovery !== "off";
  const recoverable = overrides.recovery ?? keeps;
  const positioned = recoverable || (overrides.positioning ?? false);
  // What a service prolongs the client need not think of.
  const forClient = expiresAt !== undefined && rules.subRefreshCallout === false;
  const ttl = forClient ? secondsLeft(expiresAt) : undefined;
  const common = { recoverable, positioned, wasRecovering: from?.recover ?? false, ttl, delta: sub.delta };
  if (!from?.recover || !recoverable) {
    return { result: { ...common, position, recovered: false, publications: [] } };
  }
  const recovery = channel.recover(from, kept);
  context.taps.trace?.("recovery", {
    client: session.client,
    channel: channel.id,
    from: from.offset,
    to: position.offset,
    outcome: recovery.outcome,
  });
  if (recovery.outcome !== "recovered") {
    noteUnrecovered(context, session, channel, { from: from.offset, outcome: recovery.outcome });
    const unproven = recovery.outcome === "unproven";
    return { unproven, result: { ...common, position, recovered: false, publications: [] } };
  }
  const { entries, from: offset } = recovery;
  Stats.bump(context.stats.recoveries, entries.length > 0 ? "messages" : "empty");
  const { frames, last, sent } = firstChunk(entries, encoderOf(session, sub), chunkBytes(context));
  context.quotas.recovered(session, sent);
  // A stream recovery answers with the position it began from: the client moves it while it applies the publications.
  const stream = rules.recovery === "stream";
  return {
    result: {
      ...common,
      position: stream ? { epoch: position.epoch, offset } : position,
      recovered: true,
      publications: frames,
    },
    behind:
      last && frames.length < entries.length
        ? { epoch: position.epoch, offset: last.publication.offset }
        : undefined,
  };
}

/**
 * Whole seconds until an expiry in Unix seconds, at least 1 (the clock of the token's issuer may be a little behind);
 * `undefined` for "never" (0). At most what the protocol's field holds, 68 years: the client then asks for a new token, and
 * nothing expires.
 */
export function secondsLeft(expiresAt: number): number | undefined {
  if (expiresAt <= 0) return undefined;
  return Math.min(Math.max(1, Math.ceil(expiresAt - Date.now() / 1000)), MAX_INT32);
}
