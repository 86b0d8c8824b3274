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
  const wanted = new Map(
    await Promise.all(channels.map(async (name) => [name, lines(await store(name))] as const)),
  );
  const found = await Promise.all(
    copies.flatMap(({ name, read }) =>
      channels.map(async (channel) => {
        for (;;) {
          const differing = await read(channel).then(
            (view) => unlike(wanted.get(channel)!, lines(view)),
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

function lines(view: StoreView): ReadonlySet<string> {
  return new Set(view.map(({ offset, body }) => `${offset} ${JSON.stringify(body)}`));
}

function unlike(wanted: ReadonlySet<string>, is: ReadonlySet<string>): string[] {
  return [
    ...[...wanted].filter((line) => !is.has(line)).map((line) => `lacks ${line}`),
    ...[...is].filter((line) => !wanted.has(line)).map((line) => `has ${line}, and the store has not`),
  ];
}
