import { GCProfiler } from "node:v8";

/**
 * Makes what `Runtime.takeCollectionsMs` is: the engine's own profiler of collections, which costs nothing to speak of, is
 * read and begun anew.
 * @param unitsPerMs in what the runtime tells what a collection took: Node's documents say microseconds
 */
export function takeCollectionsMs(unitsPerMs: number): () => number[] {
  let profiler: GCProfiler | undefined;
  return () => {
    const took = profiler?.stop()?.statistics.map(({ cost }) => cost / unitsPerMs) ?? [];
    profiler ??= new GCProfiler();
    profiler.start();
    return took;
  };
}
