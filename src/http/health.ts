import type { BrokerStatus } from "../broker/broker.ts";
import type { OverloadState } from "../gateway/instance/overload.ts";

/**
 * What readiness is made of: of `/readyz`, of the region in `GET /regions`, of whom the instance lets in, and of whether it
 * keeps those it has.
 */
export interface Health {
  /** Id of the instance. */
  readonly instance: string;
  draining(): boolean;
  broker(): BrokerStatus;
  overload(): OverloadState;
  /** When JetStream last refused a message for lack of room, Unix ms, and in how many streams nothing is stored. */
  storage(): { readonly refusedAtMs: number; readonly fullStreams: number };
  /** How long the broker may be away before the instance should get no new clients, ms. */
  readonly brokerAwayMs: number;
}

/** How long an instance is not ready after JetStream had no room, ms. */
const FULL_FOR_MS = 30_000;

/** Why the instance should get no new clients, in words for operators; empty when it should. */
export function unreadiness(health: Health, nowMs: number): string[] {
  const reasons: string[] = [];
  if (health.draining()) reasons.push("draining");
  const broker = brokerFault(health, nowMs);
  if (broker !== undefined) reasons.push(broker);
  if (health.overload() === "refusing") reasons.push("overloaded");
  const { refusedAtMs, fullStreams } = health.storage();
  // Who gets no clients stores nothing that could prove it better: after a while it is to be tried again.
  if (fullStreams > 0 && nowMs - refusedAtMs < FULL_FOR_MS) reasons.push("nothing can be stored");
  return reasons;
}

/** What of the broker keeps the instance from serving anybody, those it has included; a short absence does not. */
export function brokerFault(
  health: Pick<Health, "broker" | "brokerAwayMs">,
  nowMs: number,
): string | undefined {
  const { state, sinceMs } = health.broker();
  if (state === "connected") return undefined;
  if (state !== "disconnected") return `broker ${state}`;
  return nowMs - sinceMs > health.brokerAwayMs ? "broker away" : undefined;
}
