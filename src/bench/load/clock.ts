/**
 * Wall clock in ms since 1970 with a resolution under a microsecond, shared by all processes of a machine: a client
 * compares its own reading with the publisher's timestamp.
 */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
