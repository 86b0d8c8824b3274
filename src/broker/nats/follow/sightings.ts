import { sequenceOf, tagIn } from "../../../core/tag.ts";
import type { Envelope } from "../link/headers.ts";
import { hasTag } from "../link/message-identity.ts";
import type { ReplicatedStream } from "../streams/replicated-stream.ts";
import type { FollowedChannel } from "./followed-channel.ts";
import type { LifeWatch } from "./life-watch.ts";
import { names } from "./offsets.ts";
import type { Progress } from "./progress.ts";
import type { RecentMessages } from "./recent.ts";

export interface SightingsOptions {
  readonly store: ReplicatedStream;
  readonly progress: Progress;
  readonly recent: RecentMessages;
  readonly watch: LifeWatch;
}

/** Holds every message of one stream that comes, or is read, against those that were seen, and has the stream looked at. */
export class Sightings {
  readonly #options: SightingsOptions;

  constructor(options: SightingsOptions) {
    this.#options = options;
  }

  /** Remembers a message. What comes in doubt proves nothing. */
  note(envelope: Envelope): void {
    const { progress, recent, store, watch } = this.#options;
    if (progress.doubtful) return;
    // Replicas do not reorder.
    if (store.replicated && envelope.prev > 0 && envelope.seq < (recent.newest?.seq ?? 0)) watch.suspect();
    if (!recent.note(envelope)) watch.doubt(envelope.seq, true);
  }

  /** A channel begins after this message. */
  head(envelope: Envelope): void {
    this.#options.progress.saw(envelope.seq);
    if (envelope.seq > (this.#options.recent.newest?.seq ?? 0)) this.note(envelope);
    else this.given(envelope);
  }

  /** A message that was read is given to somebody. */
  given(envelope: Envelope): void {
    if (!this.#options.progress.doubtful) this.#options.recent.read(envelope);
  }

  /** A message that was published here is stored. */
  acknowledged(seq: number, id: string): void {
    const { progress, recent, watch } = this.#options;
    const known = recent.find(seq);
    if (known && known.id !== id) watch.doubt(seq, true);
    else if (!progress.doubtful) recent.acknowledged(seq, id);
    progress.saw(seq);
  }

  /** Whether no other message was seen where this one is; otherwise it is looked at which of them stands. */
  stands(envelope: Envelope): boolean {
    const { recent, watch } = this.#options;
    if (!recent.contradicts(envelope)) return true;
    watch.doubt(envelope.seq, true);
    return false;
  }

  /** Whether a message that was read is not another one than the channel's newest, or one that was seen there. */
  follows({ reached, last }: FollowedChannel, envelope: Envelope): boolean {
    if (envelope.seq === last && sequenceOf(reached) === last && !names(reached, envelope)) {
      this.#options.watch.suspect();
      return false;
    }
    return this.stands(envelope);
  }

  /** Usually a join or a fill read it first. After the stream went back, new messages come in places that are taken. */
  duplicate({ seq }: Envelope): void {
    const { recent, watch } = this.#options;
    if (!recent.find(seq)) watch.suspect();
  }

  /** A message says that something else came before it: what is between may have been removed, or is of another past. */
  odd({ last }: FollowedChannel, prev: number): void {
    const { recent, store, progress, watch } = this.#options;
    // A channel's newest message goes by age alone, mostly; what was seen lately did not.
    if (prev === 0 && !recent.find(last)) return;
    if (!store.replicated) watch.doubt(last, false);
    else {
      progress.doubt();
      watch.elected();
    }
  }

  /** Whether a position names what was seen there, though the store keeps it no more; undefined: not remembered. */
  remembers(offset: number): boolean | undefined {
    const { progress, recent } = this.#options;
    const known = progress.doubtful ? undefined : recent.find(sequenceOf(offset));
    return known && hasTag(known, tagIn(offset));
  }
}
