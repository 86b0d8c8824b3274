import type { ConnectionRecord, Forgotten } from "../presence.ts";
import type { Keys } from "./keys.ts";
import { pair, unescapeName } from "./keys.ts";
import { leaveOutcome, releaseOperation, wasRemoved } from "./operations.ts";
import type { Pipe } from "./pipe.ts";
import type { Reader } from "./reader.ts";

/** Reads what the release of a whole connection answered: the memberships that ended with it, and whose they were. */
export function forgotten(client: string, channels: readonly string[], answer: string): readonly Forgotten[] {
  const [digits = "", ...users] = answer.split(" ");
  return channels.flatMap((channel, index) => {
    const digit = digits[index] ?? "0";
    if (!wasRemoved(digit)) return [];
    return [{ channel, client, user: unescapeName(users[index] ?? ""), ...leaveOutcome(digit) }];
  });
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
    const answer = await pipe.write(releaseOperation(keys, release));
    return answer === undefined ? [] : forgotten(client, channels, answer);
  });
  return (await Promise.all(releases)).flat();
}
