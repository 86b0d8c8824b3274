import { CommandError, Errors } from "../../../core/errors.ts";
import type { Position } from "../../../core/position.ts";
import { isBefore, isUnnamed, sequenceOf } from "../../../core/tag.ts";
import type { Standing, Verified } from "../../broker.ts";
import { RequestError } from "../link/requests.ts";
import type { StreamFollower } from "./follower.ts";
import { names } from "./offsets.ts";

/** Pause before the home is asked again, ms: what is on its way to a new leader comes within it. */
const AGAIN_MS = 250;
/** A look at the stream so long ago still says whether it is the one that is known, ms. */
const JUDGED_MS = 1_000;
/** How long a home without an answer is asked, ms. */
const PATIENCE_MS = 2_000;

/**
 * What the home of a stream says of a position, see {@link Standing}. All who come with positions above the stream's
 * top are served by two shared looks at it, whatever their numbers. @throws CommandError brokerUnavailable when nobody
 * answers: a client that is told to try again loses nothing, one that is told of a gap does.
 */
export async function verify(follower: StreamFollower, position: Position): Promise<Verified> {
  await follower.settled();
  const deadline = performance.now() + PATIENCE_MS;
  for (let looks = 0; ; ) {
    let current = follower.current(position);
    if (!current && follower.judgedMs > JUDGED_MS && !follower.store.away) {
      // The stream may have got another life that its client has heard of, and this instance has not.
      if ((await topOf(follower)) === undefined) throw silent(follower);
      current = follower.current(position);
    }
    if (!current) return { standing: "void", position };
    const sequence = sequenceOf(current.offset);
    if (sequence === 0) return { standing: "stands", position: current };
    let pauseMs = AGAIN_MS;
    const top = follower.store.away || sequence <= follower.high ? sequence : await topOf(follower);
    if (top !== undefined && sequence <= top) {
      const verified = await keptAt(follower, current);
      if (verified === "nothing") {
        const recently = follower.store.away || follower.judgedMs < JUDGED_MS;
        if (recently) return { standing: withoutMessage(follower, current.offset), position: current };
        // Removed since, or the stream is another one: it is looked at once a second for all who ask.
        await follower.inspect();
        pauseMs = 0;
      } else if (verified) return verified;
    } else if (top !== undefined && ++looks === 2) return { standing: "void", position: current };
    if (performance.now() > deadline) throw silent(follower);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

function silent({ store }: StreamFollower): CommandError {
  return new CommandError(Errors.brokerUnavailable, `nobody says what stands in ${store.stream}`);
}

/** The stream's last sequence now; undefined when nobody answers. */
async function topOf(follower: StreamFollower): Promise<number | undefined> {
  const { inspections } = follower;
  await follower.inspect();
  return follower.inspections > inspections ? follower.end : undefined;
}

/** What is kept where a position is, at or below the stream's top; undefined when nobody answers. */
async function keptAt(
  follower: StreamFollower,
  position: Position,
): Promise<Verified | "nothing" | undefined> {
  const { epoch, offset } = position;
  const sequence = sequenceOf(offset);
  try {
    const envelope = await follower.store.at(sequence);
    if (!envelope) return "nothing";
    if (!names(offset, envelope)) {
      follower.doubt(sequence);
      return { standing: "void", position };
    }
    follower.sightings.given(envelope); // somebody has it
    // What only said a number is given a name, so that it proves more the next time.
    const named = isBefore(offset) ? offset : follower.offsets.of(envelope);
    return { standing: "stands", position: { epoch, offset: named } };
  } catch (error) {
    if (error instanceof RequestError) return undefined;
    throw error;
  }
}

/** Nothing is kept at a position's sequence. A number alone is believed; a message that is remembered proves itself. */
function withoutMessage(follower: StreamFollower, offset: number): Standing {
  if (isUnnamed(offset)) return "stands";
  if (isBefore(offset)) return "unproven";
  const remembered = follower.sightings.remembers(offset);
  return remembered === undefined ? "unproven" : remembered ? "stands" : "void";
}
