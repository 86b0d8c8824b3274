import { JetStreamError } from "./api-error.ts";
import type { WantedStream } from "./config.ts";

/** What a stream gets whose size nobody has set, bytes: the first of these that the server, or the account, has room for. */
const DEFAULT_BYTES = [256, 64, 16].map((mebibytes) => mebibytes * 1024 ** 2);

// JetStream API error codes (nats-server, server/errors.json).
/** Insufficient storage, resource limits of the account, larger than the account's streams may be, limit demanded. */
const NO_ROOM = [10047, 10002, 10028, 10122, 10113];

/** Whether an error says that the server, or the account, cannot reserve as much as a stream is to have. */
function lacksRoom(error: unknown): boolean {
  return error instanceof JetStreamError && NO_ROOM.includes(error.code);
}

/**
 * How many times a stream's limit must be free when it is made. NATS refuses every further stream, even one without a limit,
 * once all room is reserved: the last room must never go to a default.
 */
const SPARE = 4;

/** How often, and after which pause, room is looked for again: streams are made at the same time, by other instances too. */
const TRIES = 20;
const RETRY_MS = 250;

/** How a stream is made and changed. */
export interface Sizing<W, T> {
  /** Creates the stream, or changes it, with the limit given. */
  make(sized: W & { max_bytes: number }): Promise<T>;
  /** Gives what was made another limit. */
  resize(sized: W & { max_bytes: number }): Promise<T>;
}

/**
 * Makes or changes a stream. One whose size is not set gets a limit all the same, so that whoever writes without end
 * pushes out old messages of its own namespace, and takes the disk from nobody. A stream that was made is given {@link SPARE}
 * times its limit for a moment; if there is no room for that, the next smaller limit is tried, and at last it has none.
 * @param kept bytes that are in it: no limit is tried that would soon drop some of them
 */
export async function withRoom<W extends Pick<WantedStream, "max_bytes">, T>(
  wanted: W,
  kept: number,
  sizing: Sizing<W, T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await fit(wanted, kept, sizing);
    } catch (error) {
      // What others ask for over and above is theirs for a moment only.
      if (tries === TRIES || !lacksRoom(error) || wanted.max_bytes !== undefined) throw error;
      await new Promise((resolve) => setTimeout(resolve, (0.5 + Math.random()) * RETRY_MS));
    }
  }
}

/** Tries one limit after the other, once. */
async function fit<W extends Pick<WantedStream, "max_bytes">, T>(
  wanted: W,
  kept: number,
  { make, resize }: Sizing<W, T>,
): Promise<T> {
  const { max_bytes: own } = wanted;
  if (own !== undefined) return await make({ ...wanted, max_bytes: own });
  const fitting = DEFAULT_BYTES.filter((bytes) => bytes >= 2 * kept);
  const limits = fitting.length > 0 ? fitting : [2 * kept];
  let made: T;
  try {
    // Without one at first: nats-server 2.9 counts the limit of each of those who create a stream at the same time.
    made = await make({ ...wanted, max_bytes: -1 });
  } catch (error) {
    // An account may demand a limit of every stream.
    if (!lacksRoom(error)) throw error;
    return await make({ ...wanted, max_bytes: limits.at(-1)! });
  }
  for (const max_bytes of limits) {
    try {
      await resize({ ...wanted, max_bytes: SPARE * max_bytes });
    } catch (error) {
      if (lacksRoom(error)) continue;
      throw error;
    }
    return await resize({ ...wanted, max_bytes });
  }
  return made;
}
