/** What there is to say of one stream of channels. */
export interface StreamOverview {
  readonly stream: string;
  /** The id of its life; positions begin with `t_` and it. */
  readonly life: string;
  /** The id stands in the stream's configuration. */
  readonly named: boolean;
  /**
   * Earlier lives, the latest first: what they had up to `fork` counts still; `mark` is the last sequence when the cut was
   * noticed, 0 when an operator ended that life.
   */
  readonly aliases: readonly { readonly id: string; readonly fork: number; readonly mark: number }[];
  /** Times the store went back, as far as they are written down (four). */
  readonly cuts: number;
  readonly messages: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** The newest message. */
  readonly tail?: { readonly sequence: number; readonly id?: string; readonly stored?: string };
  readonly bytes: number;
  readonly maxBytes?: number;
  /** Part of `maxBytes` that is used; at 1 the oldest messages go. */
  readonly full?: number;
  readonly leader?: string;
  readonly replicas: readonly { readonly name: string; readonly current: boolean; readonly lag: number }[];
  /** A sequence at which the replicas hold different messages. */
  readonly disagreeAt?: number;
  readonly copies: readonly CopyOverview[];
}

interface CopyOverview {
  readonly stream: string;
  readonly region: string;
  readonly life: string;
  /** Messages that it is behind its home. */
  readonly lag: number;
  /** It is of this life of its stream; else an instance of its region makes it anew. */
  readonly current: boolean;
}

/** A stream that nobody answers for, or that is not there. */
export interface MissingStream {
  readonly stream: string;
  readonly missing: "not made yet" | "does not answer";
}
