import { setTimeout as sleep } from "node:timers/promises";
import type { StoreView } from "../src/bench/check/compare.ts";
import type { ReadStore } from "../src/bench/check/store.ts";

/** A place where the same must stand as in the store: a replica, or a copy in another region. */
export interface Copy {
  /** For people. */
  readonly name: string;
  readonly read: ReadStore;
}

const POLL_MS = 500;

/**
 * What copies and replicas have that the store has not, or not so, and the other way round; a copy gets level first.
 * @returns differences in words; none: all hold the same
 */
export async function differences(
  store: ReadStore,
  copies: readonly Copy[],
  { channels, withinMs }: { readonly channels: readonly string[]; readonly withinMs: number },
): Promise<string[]> {
  const end = performance.now() + withinMs;
  const wanted = new Map(await Promise.all(channels.map(async (name) => [name, await store(name)] as const)));
  const found = await Promise.all(
    copies.flatMap(({ name, read }) =>
      channels.map(async (channel) => {
        for (;;) {
          const differing = await read(channel).then(
            (view) => unlike(wanted.get(channel)!, view),
            (error: Error) => [`cannot be read: ${error.message}`],
          );
          if (differing.length === 0 || performance.now() > end) {
            return differing.map((text) => `${name}, ${channel}: ${text}`);
          }
          await sleep(POLL_MS);
        }
      }),
    ),
  );
  return found.flat();
}

/** What lies before everything that the store keeps does not count: a purge does not reach copies. */
function unlike(wanted: StoreView, view: StoreView): string[] {
  const first = wanted[0]?.offset ?? Number.POSITIVE_INFINITY;
  const [must, is] = [wanted, view.filter(({ offset }) => offset >= first)].map(
    (all) => new Set(all.map(({ offset, body }) => `${offset} ${JSON.stringify(body)}`)),
  ) as [Set<string>, Set<string>];
  return [
    ...[...must].filter((line) => !is.has(line)).map((line) => `lacks ${line}`),
    ...[...is].filter((line) => !must.has(line)).map((line) => `has ${line}, and the store has not`),
  ];
}
