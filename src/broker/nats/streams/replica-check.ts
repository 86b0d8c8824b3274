import { identityOf, isSame, type MessageIdentity } from "../link/message-identity.ts";
import { RequestError } from "../link/requests.ts";
import type { StreamLife } from "./identity.ts";
import type { Store } from "./store.ts";

/** Reads that the servers of a cluster share among them, to see whether they agree on one message. */
const LOOKS = 20;
/** Newest messages that are looked at, beside those after each cut. */
const NEWEST = 4;

/** A place at which replicas of a stream hold different messages. */
export interface Disagreement {
  readonly sequence: number;
}

/** What an operator does about replicas that disagree. */
export const DISAGREEMENT_REMEDY =
  "in a quiet hour set history.replicas to 1 and back: the leader's messages are kept";

/**
 * The first place at which replicas disagree: after each cut that the stream's life tells of, and among the newest
 * messages. Whichever server answers, it is sure of its own. A replica that lags, and has nothing there, proves nothing.
 * @throws RequestError when nobody answers
 */
export async function disagreement(
  origin: Pick<Store, "at">,
  { before, firstSeq, lastSeq }: Pick<StreamLife, "before" | "firstSeq" | "lastSeq">,
): Promise<Disagreement | undefined> {
  const places = new Set<number>();
  for (const { fork, mark } of before) {
    for (const place of [fork + 1, Math.floor((fork + 1 + mark) / 2), mark]) places.add(place);
  }
  for (let back = 0; back < NEWEST; back++) places.add(lastSeq - back);
  for (const place of [...places].sort((a, b) => a - b)) {
    if (place < Math.max(1, firstSeq) || place > lastSeq) continue;
    if (!(await agree(origin, place))) return { sequence: place };
  }
  return undefined;
}

async function agree(origin: Pick<Store, "at">, place: number): Promise<boolean> {
  const answers = await Promise.allSettled(Array.from({ length: LOOKS }, () => origin.at(place)));
  const failed = answers.find((one) => one.status === "rejected");
  const found: MessageIdentity[] = [];
  for (const one of answers) if (one.status === "fulfilled" && one.value) found.push(identityOf(one.value));
  if (found.length === 0 && failed && failed.reason instanceof RequestError) throw failed.reason;
  return found.every((one) => isSame(one, found[0]!));
}
