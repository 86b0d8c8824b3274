/**
 * Wall clock in ms since 1970 with a resolution under a microsecond, the same in every process of one machine: what a
 * publisher stamps and a client reads must be comparable.
 */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
