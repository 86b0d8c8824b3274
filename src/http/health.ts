import type { BrokerStatus } from "../broker/broker.ts";
import type { OverloadState } from "../gateway/instance/overload.ts";

/** What readiness is made of. */
export interface Health {
  /** Id of the instance. */
  readonly instance: string;
  draining(): boolean;
  broker(): BrokerStatus;
  overload(): OverloadState;
  /** How long the broker may be away before the instance should get no new clients, ms. */
  readonly brokerAwayMs: number;
}

/** Why the instance should get no new clients, in words for operators; empty when it should. */
export function unreadiness(health: Health, nowMs: number): string[] {
  const reasons: string[] = [];
  if (health.draining()) reasons.push("draining");
  const broker = health.broker();
  if (broker.state === "disconnected") {
    if (nowMs - broker.sinceMs > health.brokerAwayMs) reasons.push("broker away");
  } else if (broker.state !== "connected") {
    reasons.push(`broker ${broker.state}`);
  }
  if (health.overload() === "refusing") reasons.push("overloaded");
  return reasons;
}
