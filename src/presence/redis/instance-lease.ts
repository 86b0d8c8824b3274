import { readCount } from "../../core/numbers.ts";
import type { InstanceLoad, InstanceRecord } from "../presence.ts";
import type { Keys } from "./keys.ts";
import { pair, unpair } from "./keys.ts";
import { type Command, LinkError, type Reply } from "./link.ts";
import type { ScriptCall } from "./pipe.ts";
import { LEASE, UNLEASE } from "./scripts.ts";

export interface InstanceLeaseOptions {
  readonly keys: Keys;
  readonly instance: string;
  readonly region: string;
  readonly leaseTtlMs: number;
  readonly backstopMs: number;
  readonly load: () => InstanceLoad;
}

/** Earlier generations a lease protects at most; older ones may be swept. */
const MAX_EARLIER = 8;

/**
 * This instance's lease in Redis. Each time it is taken it has a new *generation*, and everything written carries the
 * generation it was written under. So what a lost lease left behind can be told from what was written since, even
 * when the instance lives on or was restarted under its old name, and a command that Redis runs late writes nothing.
 *
 * (instance, generation) is a *holder*. While everything is being written again under a new generation the earlier
 * ones are protected (`prev`), so that nobody sweeps connections that are alive.
 */
export class InstanceLease {
  readonly #options: InstanceLeaseOptions;
  #generation = newGeneration();
  #earlier: string[] = [];
  #taken = false;

  constructor(options: InstanceLeaseOptions) {
    this.#options = options;
  }

  get instance(): string {
    return this.#options.instance;
  }

  get generation(): string {
    return this.#generation;
  }

  get holder(): string {
    return pair(this.instance, this.#generation);
  }

  /** The call that takes the lease under a new generation, whatever is there. */
  take(): ScriptCall {
    if (this.#taken) {
      this.#earlier = [...this.#earlier, this.#generation].slice(-MAX_EARLIER);
      this.#generation = newGeneration();
      this.#taken = false;
    }
    return this.#call("take");
  }

  /** {@link take} was answered: from now on things are written under this generation. */
  taken(): void {
    this.#taken = true;
  }

  /** Everything is written under this generation: the earlier ones may be swept. */
  settle(): void {
    this.#earlier = [];
  }

  /** The call that renews it; answers 0 when it is lost. */
  renew(): ScriptCall {
    return this.#call("renew");
  }

  /** The call that gives it back. `empty`: nothing is held under it, so there is nothing to sweep. */
  giveBack(empty: boolean): ScriptCall {
    return { script: UNLEASE, keys: this.#keys(), args: [this.#generation, this.holder, empty ? 1 : 0] };
  }

  #call(mode: "take" | "renew"): ScriptCall {
    const { leaseTtlMs, backstopMs, region, load } = this.#options;
    const { connections, capacity } = load();
    const earlier = this.#earlier.join(" ");
    return {
      script: LEASE,
      keys: this.#keys(),
      args: [
        ...[mode, this.#generation, earlier, leaseTtlMs, backstopMs, this.holder],
        ...[region, connections, capacity],
      ],
    };
  }

  #keys(): string[] {
    const { keys, instance } = this.#options;
    return [keys.lease(instance), keys.holders, keys.held(this.holder)];
  }
}

/** What Redis answers to a lease that is taken or renewed. */
export interface LeaseAnswer {
  /** 0: it is lost; 2: it was taken from somebody unknown. */
  readonly state: number;
  /** {@link Completeness}. */
  readonly witness: string;
  /** What Redis does when its memory is full; of a lease that is taken, and where it may be known. */
  readonly policy: string;
}

/** @throws LinkError when it is no such answer */
export function leaseAnswer(reply: Reply | undefined): LeaseAnswer {
  const [state, witness, policy = ""] = Array.isArray(reply) ? (reply as readonly Reply[]) : [];
  if (typeof state !== "number" || typeof witness !== "string" || typeof policy !== "string") {
    throw new LinkError("answer", "SHAPE");
  }
  return { state, witness, policy };
}

/** One holder and what its instance's lease says of it. */
export interface Holder {
  readonly holder: string;
  readonly instance: string;
  readonly generation: string;
  /** `replaced`: the instance's lease is another generation's. `missing`: there is no lease. */
  readonly state: "live" | "replaced" | "missing";
  /** Of the lease, when live. */
  readonly record: InstanceRecord;
}

/** Reads the leases of holders. @param ask sends commands. `undefined`: Redis does not answer. */
export async function readHolders(
  ask: (commands: readonly Command[]) => Promise<readonly Reply[] | undefined>,
  keys: Keys,
  holders: readonly string[],
): Promise<readonly Holder[] | undefined> {
  if (holders.length === 0) return [];
  const named = holders.map((holder) => [holder, ...unpair(holder)] as const);
  const leases = await ask(
    named.map(([, instance]) => [
      "HMGET",
      keys.lease(instance),
      "gen",
      "prev",
      "region",
      "connections",
      "capacity",
    ]),
  );
  return leases?.map((reply, index) => holderState(...named[index]!, reply));
}

function holderState(holder: string, instance: string, generation: string, reply: Reply): Holder {
  const [gen, earlier, region, connections, capacity] = (Array.isArray(reply) ? reply : []).map((field) =>
    typeof field === "string" ? field : null,
  );
  const live = gen === generation || (earlier ?? "").split(" ").includes(generation);
  return {
    holder,
    instance,
    generation,
    state: live ? "live" : (gen ?? null) === null ? "missing" : "replaced",
    record: {
      instance,
      region: region ?? "",
      connections: readCount(connections ?? "") ?? 0,
      capacity: readCount(capacity ?? "") ?? 0,
    },
  };
}

function newGeneration(): string {
  return crypto.randomUUID().replaceAll("-", "").slice(0, 16);
}
