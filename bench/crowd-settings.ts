/** Gateways that start at the same time: more would only wait for a processor, and for their deadline. */
export const AT_ONCE = 4;

/** Settings of gateways that fill a whole machine. */
export function crowdSettings(pingSeconds: number): Readonly<Record<string, unknown>> {
  return {
    ping: { interval: `${pingSeconds}s`, pongTimeout: `${Math.min(30, pingSeconds / 2)}s` },
    drain: { ratePerSecond: 2_000, deadline: "60s" },
    // More processes than processors wait for each other: that is no overload here, and nobody is to be sent away.
    overload: { eventLoopDelay: "1m" },
    log: { level: "warn" },
  };
}
