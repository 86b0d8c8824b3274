import type { Position } from "../../../core/position.ts";
import type { Standing } from "../../broker.ts";
import { RequestError } from "../link/requests.ts";
import type { StreamFollower } from "./follower.ts";

/** Pause before the home is asked again, ms: what is on its way to a new leader comes within it. */
const AGAIN_MS = 250;
/** How long a home without an answer is asked, ms. */
const PATIENCE_MS = 2_000;

type Asked = Pick<StreamFollower, "current" | "end" | "inspect" | "inspections" | "store">;

/**
 * What the home of a stream says of a position, see {@link Standing}. All who come with positions above the stream's
 * top are served by two shared looks at it, whatever their numbers.
 */
export async function standingOf(follower: Asked, position: Position): Promise<Standing> {
  const { offset } = position;
  const deadline = performance.now() + PATIENCE_MS;
  for (let looks = 0; ; ) {
    if (!follower.current(position)) return "void";
    if (offset === 0) return "stands";
    const top = follower.store.away ? offset : await topOf(follower);
    if (top !== undefined && offset <= top) {
      const standing = await keptAt(follower, offset);
      if (standing) return standing;
    } else if (top !== undefined && ++looks === 2) return "void";
    if (performance.now() > deadline) return "unproven";
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

/** The stream's last sequence now; undefined when nobody answers. */
async function topOf(follower: Asked): Promise<number | undefined> {
  const { inspections } = follower;
  await follower.inspect();
  return follower.inspections > inspections ? follower.end : undefined;
}

/** Whether something is kept at a sequence the stream has come to; undefined when nobody answers. */
async function keptAt({ store }: Asked, sequence: number): Promise<Standing | undefined> {
  try {
    return (await store.at(sequence)) ? "stands" : "unproven";
  } catch (error) {
    if (error instanceof RequestError) return undefined;
    throw error;
  }
}
