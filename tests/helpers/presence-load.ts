import type { Presence } from "../../src/presence/presence.ts";
import { connection, info } from "../contract/presence.ts";

const CHANNELS = 48;
/** Members of each channel that never leave. */
const STAYING = 2;

/** People who come and go on some instances, and questions that are held against the truth meanwhile. */
export interface PresenceLoad extends AsyncDisposable {
  readonly channels: readonly string[];
  /** Answers that were whole and wrong: somebody missing who stays, or there who had left before. */
  readonly wrong: readonly string[];
  /** Answers so far about a channel, whole and partial. */
  answers(channel: string): { readonly whole: number; readonly partial: number };
  /** Joins and leaves so far. */
  readonly changes: number;
  /** Ends the coming and going. */
  stop(): Promise<void>;
  /** What every instance says of every channel is whole and right. */
  isRight(): Promise<boolean>;
}

interface Visit {
  /** When its leave was certain, on the monotonic clock; before that it may be seen or not. */
  leftMs: number;
  /** A leave that Redis may not have been told yet: seen or not, until all is right again. */
  unsure: boolean;
}

/** Starts it: each instance holds members that stay in all channels, and others that come and go without a pause. */
export async function presenceLoad(
  instances: readonly { readonly name: string; readonly presence: Presence }[],
): Promise<PresenceLoad> {
  const channels = Array.from({ length: CHANNELS }, (_, n) => `room:${n}`);
  const visits = new Map<string, Visit>();
  const counts = new Map(channels.map((channel) => [channel, { whole: 0, partial: 0 }]));
  const wrong: string[] = [];
  let [on, changes] = [true, 0];
  const staying = instances.flatMap(({ name }) =>
    Array.from({ length: STAYING }, (_, n) => ({ name, client: `${name}-stays-${n}`, user: `${name}${n}` })),
  );
  for (const { name, client, user } of staying) {
    const { presence } = instances.find((instance) => instance.name === name)!;
    await presence.connected(connection(client, user, name));
    await Promise.all(channels.map((channel) => presence.join(channel, info(client, user))));
  }
  const stays = staying.map(({ client }) => client);

  const visit = async (presence: Presence, client: string, channel: string) => {
    const own: Visit = { leftMs: Number.POSITIVE_INFINITY, unsure: false };
    visits.set(client, own);
    await presence.join(channel, info(client, "visitor"));
    changes++;
    await Bun.sleep(1);
    const before = presence.status().state;
    await presence.leave(channel, client);
    changes++;
    own.unsure = before !== "ok" || presence.status().state !== "ok";
    own.leftMs = performance.now();
  };
  const coming = instances.map(async ({ name, presence }, at) => {
    for (let n = 0; on; n++) await visit(presence, `${name}-comes-${n}`, channels[(n * 7 + at) % CHANNELS]!);
  });
  const look = async (presence: Presence, channel: string) => {
    const askedMs = performance.now();
    const { members, partial } = await presence.members(channel, 1_000);
    counts.get(channel)![partial ? "partial" : "whole"]++;
    if (partial) return false;
    const seen = new Set(members.map(({ client }) => client));
    const missing = stays.filter((client) => !seen.has(client));
    const ghosts = [...seen].filter((client) => {
      const known = visits.get(client);
      return known ? known.leftMs < askedMs && !(on && known.unsure) : !stays.includes(client);
    });
    if (missing.length + ghosts.length > 0) wrong.push(`${channel}: missing ${missing}, not there ${ghosts}`);
    return missing.length + ghosts.length === 0;
  };
  const asking = (async () => {
    for (let n = 0; on; n++) {
      await look(instances[n % instances.length]!.presence, channels[(n * 5) % CHANNELS]!);
      await Bun.sleep(1);
    }
  })();
  const stop = async () => {
    on = false;
    await Promise.all([asking, ...coming]);
  };
  return {
    channels,
    wrong,
    answers: (channel) => ({ ...counts.get(channel)! }),
    get changes() {
      return changes;
    },
    stop,
    async isRight() {
      const known = wrong.length;
      const all = instances.flatMap(({ presence }) => channels.map((channel) => look(presence, channel)));
      const right = (await Promise.all(all)).every(Boolean);
      // Not right yet is no fault; what counts is that it becomes right in time.
      if (!right) wrong.splice(known);
      return right;
    },
    [Symbol.asyncDispose]: stop,
  };
}
