import type { Envelope } from "../link/headers.ts";
import { identityOf, isSame } from "../link/message-identity.ts";
import type { Store } from "./store.ts";

/** Places over the whole range, and newest messages, at which a copy is compared with its origin. */
const SPREAD = 16;
const NEWEST = 64;
/** Comparisons under way at a time: the origin may be an ocean away. */
const AT_A_TIME = 16;

/**
 * A message that a copy has and its origin has another one instead, or undefined. A copy of an origin that went back and
 * was written on keeps the old past and takes the new one behind it: it looks whole, with its newest message that of the
 * origin. @throws RequestError
 */
export async function strayMessage(
  copy: Pick<Store, "next" | "last">,
  home: Pick<Store, "at">,
): Promise<Envelope | undefined> {
  const [oldest, newest] = await Promise.all([copy.next(">", 1), copy.last(">")]);
  if (!oldest || !newest) return undefined;
  const width = (newest.seq - oldest.seq) / SPREAD;
  const places = new Set(Array.from({ length: SPREAD }, (_, n) => oldest.seq + Math.floor(n * width)));
  for (let n = 0; n < NEWEST; n++) places.add(Math.max(oldest.seq, newest.seq - n));
  const left = [...places];
  let stray: Envelope | undefined;
  const compare = async () => {
    for (let place = left.pop(); place !== undefined && !stray; place = left.pop()) {
      const envelope = await copy.next(">", place);
      const original = envelope && (await home.at(envelope.seq));
      if (original && !isSame(identityOf(envelope), identityOf(original))) stray = envelope;
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, compare));
  return stray;
}
