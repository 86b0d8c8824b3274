import type { WorldInstance } from "./instance.ts";
import { type MetaGroup, type Mirror, mirrorsOf, streamsPage } from "./monitor.ts";
import type { LineState } from "./wire.ts";
import type { Region, World } from "./world.ts";

/** One look at a world. Rates are since the last one; what does not answer has none. */
export interface Sample {
  /** Unix time, ms. */
  readonly atMs: number;
  /** `undefined` when no server answers. */
  readonly meta: MetaGroup | undefined;
  readonly redis: { readonly region: string; readonly alive: boolean };
  readonly regions: readonly RegionSample[];
  readonly links: readonly LinkSample[];
}

export interface RegionSample {
  readonly name: string;
  readonly city: string;
  readonly latitude: number;
  readonly longitude: number;
  readonly state: Region["state"];
  readonly nats: { readonly url: string; readonly alive: boolean };
  readonly instances: readonly InstanceSample[];
  readonly mirrors: readonly Mirror[];
}

interface InstanceSample {
  readonly id: string;
  readonly url: string;
  readonly websocket: string;
  readonly alive: boolean;
  readonly connections?: number;
  /** Published through it. */
  readonly publishesPerSecond?: number;
  /** Delivered to its clients. */
  readonly deliveriesPerSecond?: number;
}

export interface LinkSample {
  readonly a: string;
  readonly b: string;
  readonly state: LineState;
  readonly roundTripMs: number;
  /** Between NATS servers, from `a` to `b` and back. */
  readonly natsBytesPerSecond: readonly [there: number, back: number];
  readonly redisBytesPerSecond: readonly [there: number, back: number];
}

/** How long an instance may take over its metrics, ms. */
const METRICS_TIMEOUT_MS = 1_000;

/** Looks at a world each time it is called. */
export function watcher(world: World): () => Promise<Sample> {
  const rate = rates();
  const instance = async ({ id, url, websocket, alive }: WorldInstance): Promise<InstanceSample> => {
    const page = alive ? await metricsOf(url) : undefined;
    const known = { id, url, websocket, alive };
    if (page === undefined) return known;
    return {
      ...known,
      connections: figure(page, "connections"),
      publishesPerSecond: rate(`${id} in`, figure(page, "publishes_total")),
      deliveriesPerSecond: rate(`${id} out`, figure(page, "deliveries_total")),
    };
  };
  return async () => {
    const [meta, pages, ...found] = await Promise.all([
      world.metaGroup(),
      Promise.all(world.regions.map(({ nats }) => (nats.alive ? streamsPage(nats.monitorUrl) : undefined))),
      ...world.regions.map(async ({ name, city, state, nats, instances }) => ({
        name,
        city: city.city,
        latitude: city.latitude,
        longitude: city.longitude,
        state,
        nats: { url: nats.url, alive: nats.alive },
        instances: await Promise.all(instances.map(instance)),
      })),
    ]);
    const mirrors = mirrorsOf(pages);
    const regions = found.map((region, place) => ({ ...region, mirrors: mirrors[place]! }));
    const links = world.links.pairs.map(([a, b]) => {
      const [there, back] = [world.links.bytes(a, b), world.links.bytes(b, a)];
      return {
        a,
        b,
        state: world.links.state(a, b),
        roundTripMs: world.links.roundTripMs(a, b),
        natsBytesPerSecond: [rate(`${a} ${b} nats`, there.nats), rate(`${b} ${a} nats`, back.nats)] as const,
        redisBytesPerSecond: [
          rate(`${a} ${b} redis`, there.redis),
          rate(`${b} ${a} redis`, back.redis),
        ] as const,
      };
    });
    const redis = { region: world.regions[0]!.name, alive: world.redis.alive };
    return { atMs: Date.now(), meta, redis, regions, links };
  };
}

/** What counters have grown by, a second; 0 the first time, and when one began anew. */
function rates(): (name: string, value: number) => number {
  const last = new Map<string, { readonly value: number; readonly ms: number }>();
  return (name, value) => {
    const ms = performance.now();
    const before = last.get(name);
    last.set(name, { value, ms });
    if (!before || value < before.value) return 0;
    return ((value - before.value) * 1000) / (ms - before.ms);
  };
}

async function metricsOf(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(METRICS_TIMEOUT_MS) });
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;
  }
}

function figure(page: string, name: string): number {
  const values = page.matchAll(new RegExp(`^trunkline_${name}(?:\\{.*\\})? (\\S+)$`, "gm"));
  return values.reduce((all, [, value]) => all + Number(value), 0);
}
