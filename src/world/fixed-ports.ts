import { isFree } from "../process/ports.ts";
import type { City } from "./cities.ts";
import { WorldError, type WorldOptions } from "./options.ts";

const HIGHEST_PORT = 65_535;

/** Port of an instance of a world with fixed ports. @param count instances of each region */
export function instancePort(first: number, place: number, index: number, count: number): number {
  return first + place * count + index;
}

/**
 * Looks at every port that was asked for, before anything is started.
 * @throws WorldError that names all that are taken, and who needs them
 */
export async function requireFreePorts(
  { port, pagePort }: WorldOptions,
  cities: readonly City[],
  count: number,
): Promise<void> {
  const wanted: [port: number, what: string][] = pagePort === undefined ? [] : [[pagePort, "the page"]];
  for (const [place, { code }] of port === undefined ? [] : cities.entries()) {
    for (let index = 0; index < count; index++) {
      wanted.push([instancePort(port!, place, index, count), `instance ${code}-${index + 1}`]);
    }
  }
  const last = Math.max(...wanted.map(([one]) => one));
  if (last > HIGHEST_PORT) {
    throw new WorldError(
      `this world needs ports up to ${last}, and the highest is ${HIGHEST_PORT}: try --port`,
    );
  }
  const free = await Promise.all(wanted.map(([one]) => isFree(one)));
  const taken = wanted.filter((_, index) => !free[index]).map(([one, what]) => `${one} (${what})`);
  if (taken.length === 0) return;
  const from = Math.min(...wanted.map(([one]) => one));
  throw new WorldError(
    `taken on this machine: port ${taken.join(", ")}. This world needs ${from} to ${last}: try another --port`,
  );
}
