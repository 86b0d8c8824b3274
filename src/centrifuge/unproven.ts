import type { Channel } from "../gateway/channel/channel.ts";
import type { SubscribeCommand } from "../protocol/centrifuge/command.ts";
import type { CentrifugeSession } from "./session.ts";

/** Positions remembered for one connection, and how long at most, ms. */
const MAX_REMEMBERED = 128;
const MAX_AGE_MS = 600_000;

/**
 * By session: positions that were refused because nothing that is kept proves them, and until when that counts. A client
 * that has its state from elsewhere (flag "reject unrecovered") reloads it then. If it comes with the same position
 * again, its state is newer than our refusal, so that it lacks nothing but what was stored since. By session, never by
 * user: another tab has not reloaded.
 */
const refused = new WeakMap<CentrifugeSession, Map<string, number>>();

type Asked = Pick<SubscribeCommand, "epoch" | "offset">;

/** Notes that a position was refused as unproven. */
export function rememberRefused(session: CentrifugeSession, channel: Channel, from: Asked): void {
  const positions = refused.get(session) ?? new Map<string, number>();
  refused.set(session, positions);
  const ageMs = Math.min(channel.rules.history?.ageMs ?? 0, MAX_AGE_MS);
  const key = keyOf(channel, from);
  positions.delete(key);
  positions.set(key, performance.now() + ageMs);
  if (positions.size > MAX_REMEMBERED) positions.delete(positions.keys().next().value!);
}

/** Whether a position was refused before on this connection, so that whoever comes with it again has reloaded. */
export function hasReloaded(
  session: CentrifugeSession,
  channel: Channel,
  command: SubscribeCommand,
): boolean {
  if (!command.rejectUnrecovered || !command.recover) return false;
  const until = refused.get(session)?.get(keyOf(channel, command));
  return until !== undefined && performance.now() < until;
}

function keyOf({ id }: Channel, { epoch, offset }: Asked): string {
  return `${id} ${offset} ${epoch}`;
}
