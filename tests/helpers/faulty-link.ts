import type { Command, RedisLink } from "../../src/presence/redis/link.ts";
import { LinkError } from "../../src/presence/redis/link.ts";

/** What a test breaks a link with. */
export interface Faults {
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

/** A link to Redis that a test can break. */
export type FaultyLink = RedisLink & Faults;

export function faultyLink(inner: RedisLink): FaultyLink {
  const faulty = faultyLinks();
  const { send, reset, close } = faulty.wrap(inner);
  return Object.assign(faulty.faults, { send, reset, close });
}

/** Faults that many links have in common: those of one instance on a cluster. */
export function faultyLinks(): { readonly faults: Faults; wrap(inner: RedisLink): RedisLink } {
  let sends = 0;
  let fault: Faults["fault"] = "none";
  let late: (() => void)[] = [];
  const faults: Faults = {
    get fault() {
      return fault;
    },
    set fault(next) {
      fault = next;
      if (next !== "none") return;
      for (const run of late) run();
      late = [];
    },
    get sends() {
      return sends;
    },
    before: () => {},
  };
  const wrap = (inner: RedisLink): RedisLink => ({
    async send(commands, timeoutMs) {
      sends++;
      await faults.before(commands);
      if (fault === "none") return inner.send(commands, timeoutMs);
      if (fault === "refuse") throw new LinkError("refused");
      if (fault === "late") late.push(() => inner.send(commands, 1_000).catch(() => {}));
      await new Promise((resolve) => setTimeout(resolve, timeoutMs));
      throw new LinkError("timeout");
    },
    reset: () => inner.reset(),
    close: () => inner.close(),
  });
  return { faults, wrap };
}
