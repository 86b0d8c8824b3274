import type { Session } from "./session.ts";

/** Remembers a subscribe under way, so that what follows on its channel waits for it (and is not failed by it). */
export function queuePerChannel(
  session: Session,
  channel: string,
  work: Promise<void> | undefined,
): Promise<void> | undefined {
  if (!work) return undefined;
  session.pending ??= new Map();
  const pending = session.pending;
  const settled = () => {
    if (pending.get(channel) === done) pending.delete(channel);
    if (pending.size === 0 && session.pending === pending) session.pending = undefined;
  };
  const done = work.then(settled, settled);
  pending.set(channel, done);
  return work;
}
