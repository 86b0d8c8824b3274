import { CommandError, Errors } from "../../../core/errors.ts";
import type { DocumentVersion } from "../../broker.ts";
import type { Envelope } from "../link/headers.ts";
import { OvertakenError } from "./publisher.ts";

/** How often a publish is tried that others overtake. */
const ATTEMPTS = 8;

/** The epoch may be empty: headers lose spaces at their ends. */
const VERSION = /^(\d{1,16})(?: (.*))?$/;

/** A version as the header `Trunkline-Version` carries it. */
export function writeVersion({ number, epoch }: DocumentVersion): string {
  return `${number} ${epoch}`;
}

/** The version of a stored message; `undefined` when it has none. */
function readVersion(text: string | undefined): DocumentVersion | undefined {
  const [, number, epoch = ""] = VERSION.exec(text ?? "") ?? [];
  return number === undefined ? undefined : { number: Number(number), epoch };
}

interface VersionedPublish<T> {
  readonly version: DocumentVersion;
  /** The newest message that the store keeps of the channel, by the word of its leader. */
  head(): Promise<Envelope | null>;
  /** Publishes, if the channel's newest message is this one (0: none). @throws OvertakenError */
  send(after: number): Promise<T>;
}

/**
 * Publishes a version of a document, unless the channel's newest message is as new. To look and to publish is one step: the
 * store refuses what was overtaken, and it is looked at again.
 * @returns what `send` came to, or the message that is as new
 * @throws CommandError brokerUnavailable
 */
export async function publishVersion<T>({ version, head, send }: VersionedPublish<T>): Promise<T | Envelope> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const newest = await head();
    const known = readVersion(newest?.version);
    if (newest && known?.epoch === version.epoch && version.number <= known.number) return newest;
    try {
      return await send(newest?.seq ?? 0);
    } catch (error) {
      if (!(error instanceof OvertakenError)) throw error;
    }
  }
  throw new CommandError(Errors.brokerUnavailable, "others publish to the channel all the time");
}
