import type { ConnectionRecord, Forgotten } from "../presence.ts";
import type { Keys } from "./keys.ts";
import { pair } from "./keys.ts";
import { leaveOutcome, releaseOperation } from "./operations.ts";
import type { Pipe } from "./pipe.ts";
import type { Reader } from "./reader.ts";

/** What a release script answered: a digit for each channel. */
export function forgotten(
  client: string,
  user: string,
  channels: readonly string[],
  digits: string,
): readonly Forgotten[] {
  return channels.map((channel, index) => ({ channel, user, client, ...leaveOutcome(digits[index] ?? "0") }));
}

/** Removes connections of other instances, as they stand in Redis. @returns the memberships that ended with them */
export async function forgetOthers(
  reader: Reader,
  pipe: Pipe,
  keys: Keys,
  connections: readonly ConnectionRecord[],
): Promise<readonly Forgotten[]> {
  const stored = (await reader.stored(connections.map(({ client }) => client))) ?? [];
  const releases = stored.map(async (found, index) => {
    const { client, instance, user } = connections[index]!;
    if (!found) return [];
    const { generation } = found;
    const [holder, channels] = [pair(instance, generation), [...found.channels.keys()]];
    const release = { client, instance, user, generation, holder, channels, whole: true };
    const digits = await pipe.write(releaseOperation(keys, release));
    return digits === undefined ? [] : forgotten(client, user, channels, digits);
  });
  return (await Promise.all(releases)).flat();
}
