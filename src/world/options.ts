import { type City, CODES, cityOf, MOST_REGIONS } from "./cities.ts";
import type { Latency } from "./links.ts";

export interface WorldOptions {
  /** How many, or their codes; default 3. The first is where Redis runs, and the home of all streams. */
  readonly regions?: number | readonly string[];
  /** Gateway instances of each region; default 1. */
  readonly instances?: number;
  /** Round trips between regions; default `off`. */
  readonly latency?: Latency;
  /** `serve`, the default, or `dev`, which gives tokens to its pages and lets everybody do everything. */
  readonly command?: "serve" | "dev";
  /** Settings of every instance, by environment variable; a function gives each its own, by its id such as `fra-1`. */
  readonly env?: Readonly<Record<string, string>> | ((instance: string) => Readonly<Record<string, string>>);
  /** What signs tokens, and the key of the server API; default random. */
  readonly secrets?: { readonly token: string; readonly apiKey: string };
  /** Content of every instance's configuration file. */
  readonly config?: object;
  /** What stands in every NATS server's configuration besides: the mappings of namespaces with partitions. */
  readonly natsConfig?: string;
  /** Port of the first instance; the others follow it. Default: free ones. */
  readonly port?: number;
  /** Port that the caller will listen on itself: checked with those of the instances. */
  readonly pagePort?: number;
  /** Told whatever begins or ends. */
  readonly onEvent?: (event: WorldEvent) => void;
}

/** Something began, ended, or was cut. */
export interface WorldEvent {
  readonly what: "instance" | "nats" | "redis" | "link";
  /** An instance's id, a region, or a link as `fra-iad`. */
  readonly name: string;
  readonly state: "up" | "down" | "cut" | "stalled" | "silent";
}

/** A world that cannot be; the message says what can. */
export class WorldError extends Error {
  override readonly name = "WorldError";
}

/** @throws WorldError for a number or a code that there is no region for */
export function citiesOf(regions: number | readonly string[]): City[] {
  const codes = typeof regions === "number" ? CODES.slice(0, regions) : regions;
  const count = typeof regions === "number" ? regions : new Set(regions).size;
  if (!Number.isInteger(count) || count < 2 || count > MOST_REGIONS || count !== codes.length) {
    throw new WorldError(`a world needs 2 to ${MOST_REGIONS} different regions`);
  }
  return codes.map((code) => {
    const city = cityOf(code);
    if (!city)
      throw new WorldError(`there is no region ${JSON.stringify(code)}; choose from ${CODES.join(", ")}`);
    return city;
  });
}
