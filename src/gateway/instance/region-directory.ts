import type { InstanceRecord, Presence } from "../../presence/presence.ts";

/** One region as clients are told of it. */
interface RegionInfo {
  readonly name: string;
  /** Its public address, where it has one of its own (`regions` in the settings). */
  readonly url?: string;
  /** Share of its places that are taken, 0 to 1, of the instances that take clients. */
  readonly load: number;
  /** Some instance there takes new clients. */
  readonly ready: boolean;
  /** Live instances. */
  readonly instances: number;
}

export interface RegionsAnswer {
  /** The region that answers: where the asker has landed. */
  readonly here: string;
  /** By name. */
  readonly regions: readonly RegionInfo[];
  /** What is known is this instance alone: whether the others are ready cannot be told now. */
  readonly partial?: true;
}

export interface RegionsOptions {
  readonly here: string;
  /** Public addresses by region. */
  readonly urls: ReadonlyMap<string, string>;
  readonly presence: Pick<Presence, "instances">;
  /** This instance, as it is now: its lease is seconds old. */
  readonly own: () => InstanceRecord;
}

/** How long an answer serves everybody who asks, ms: clients may ask as often as they like. */
const FRESH_MS = 2_000;

/** The regions of the world, by the leases of their instances. */
export class RegionDirectory {
  readonly #options: RegionsOptions;
  #answer: Promise<RegionsAnswer> | undefined;
  #askedAt = 0;

  constructor(options: RegionsOptions) {
    this.#options = options;
  }

  /** This instance's own. */
  get here(): string {
    return this.#options.here;
  }

  /** What is known now, at most two seconds old. */
  list(): Promise<RegionsAnswer> {
    const now = performance.now();
    if (!this.#answer || now - this.#askedAt > FRESH_MS) {
      this.#askedAt = now;
      this.#answer = this.#ask();
    }
    return this.#answer;
  }

  async #ask(): Promise<RegionsAnswer> {
    const { here, urls, presence, own: self } = this.#options;
    const { instances: leased, partial } = await presence.instances();
    const own = self();
    const instances = leased.map((one) => (one.instance === own.instance ? own : one));
    const names = new Set([...urls.keys(), ...instances.map(({ region }) => region)]);
    const regions = [...names].sort().map((name): RegionInfo => {
      const there = instances.filter(({ region }) => region === name);
      const taking = there.filter(({ capacity }) => capacity > 0);
      const places = sum(taking, ({ capacity }) => capacity);
      const url = urls.get(name);
      return {
        name,
        ...(url !== undefined && { url }),
        load:
          places > 0 ? Math.round((100 * sum(taking, ({ connections }) => connections)) / places) / 100 : 0,
        ready: taking.length > 0,
        instances: there.length,
      };
    });
    return { here, regions, ...(partial && { partial }) };
  }
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
