import type { Command, RedisLink } from "../../src/presence/redis/link.ts";
import { LinkError } from "../../src/presence/redis/link.ts";

/** A link to Redis that a test can break. */
export interface FaultyLink extends RedisLink {
  /**
   * `refuse`: every send fails at once. `lost`: nothing is sent and no answer comes. `late`: what is sent runs when
   * the fault ends, long after its time-out.
   */
  fault: "none" | "refuse" | "lost" | "late";
  /** Pipelines since the start. */
  readonly sends: number;
  /** Called before each send with its commands, and waited for; may set {@link fault}. */
  before: (commands: readonly Command[]) => void | Promise<void>;
}

export function faultyLink(inner: RedisLink): FaultyLink {
  let sends = 0;
  let fault: FaultyLink["fault"] = "none";
  let late: (readonly Command[])[] = [];
  return {
    get fault() {
      return fault;
    },
    set fault(next) {
      fault = next;
      if (next !== "none") return;
      for (const commands of late) inner.send(commands, 1_000).catch(() => {});
      late = [];
    },
    get sends() {
      return sends;
    },
    before: () => {},
    async send(commands, timeoutMs) {
      sends++;
      await this.before(commands);
      if (fault === "none") return inner.send(commands, timeoutMs);
      if (fault === "refuse") throw new LinkError("refused");
      if (fault === "late") late.push(commands);
      await new Promise((resolve) => setTimeout(resolve, timeoutMs));
      throw new LinkError("timeout");
    },
    reset: () => inner.reset(),
    close: () => inner.close(),
  };
}
