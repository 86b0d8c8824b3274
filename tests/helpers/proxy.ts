import { Line, openWire } from "../../src/world/wire.ts";

/** A TCP link that can fail, in this process. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** Connections through it now. */
  readonly connections: number;
  /** Resets all connections and ends new ones at once. */
  cut(): void;
  /** Accepts connections and holds everything back until healed, like a process that is stopped. */
  stall(): void;
  /** Accepts connections and loses everything: they are half open, and are reset when the link is healed. */
  blackhole(): void;
  /** Every chunk arrives this much later, in both directions, ms. */
  delay(ms: number): void;
  /** Open again, without delay. */
  heal(): void;
}

/** Opens a link to a port of 127.0.0.1. */
export async function tcpProxy(target: number): Promise<Proxy> {
  let delayMs = 0;
  const line = new Line(() => delayMs);
  const wire = await openWire(target, { line, bytes: { in: 0, out: 0 } });
  return {
    port: wire.port,
    get connections() {
      return line.connections.size;
    },
    cut() {
      line.state = "cut";
    },
    stall() {
      line.state = "stalled";
    },
    blackhole() {
      line.state = "silent";
    },
    delay(ms) {
      delayMs = ms;
    },
    heal() {
      delayMs = 0;
      line.state = "open";
    },
    [Symbol.asyncDispose]: () => wire.close(),
  };
}
