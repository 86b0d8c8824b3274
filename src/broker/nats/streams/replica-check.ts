import { identityOf, isSame } from "../link/message-identity.ts";
import type { Store } from "./store.ts";

/** Reads that the servers of a cluster share among them. */
const LOOKS = 20;

/**
 * Whether all servers that answer for a stream hold the same message at a sequence: after one of them forgot something
 * they may hold different ones for good, each sure of its own. Never rejects.
 * @param any asks whichever of them is nearest, or free
 */
export async function replicasAgree(any: Pick<Store, "at">, sequence: number): Promise<boolean> {
  const answers = Array.from({ length: LOOKS }, () => any.at(sequence).catch(() => null));
  const [first, ...others] = (await Promise.all(answers)).filter((one) => one !== null).map(identityOf);
  return !first || others.every((one) => isSame(one, first));
}
