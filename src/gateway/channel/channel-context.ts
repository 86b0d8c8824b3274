import type { ChannelLog } from "../../broker/broker.ts";
import type { Logger } from "../../core/log.ts";
import type { Publication } from "../../core/publication.ts";
import type { Stats } from "../../core/stats.ts";
import type { Wheel } from "../../core/wheel.ts";
import type { Fanout } from "./audience.ts";
import type { SendWindow } from "./send-window.ts";
import type { Subscriber } from "./subscriber.ts";

/** Each member is absent while nobody looks: see {@link Logger.trace}. @typeParam C the channel */
interface ChannelTaps<C> {
  readonly trace?: Logger["trace"];
  /** A message goes to the subscribers of a channel. @param except gets none */
  readonly delivered?:
    | ((channel: C, publication: Publication, except: Subscriber | undefined) => void)
    | undefined;
}

/** What a channel needs of its instance. @typeParam C the channel */
export interface ChannelContext<C> {
  readonly broker: Pick<ChannelLog, "attach" | "history" | "verify">;
  readonly fanout: Fanout;
  readonly stats: Stats;
  /** Where steps of the channel are told. */
  readonly taps?: ChannelTaps<C>;
  /** Something was left out because a field of it cannot be written. */
  readonly refused?: (channel: string, field: string) => void;
  /** A message was left out: the instance is overloaded. */
  readonly leftOut?: (channel: string, offset: number) => void;
  /** Most bytes the ring of one channel may hold now. */
  ringBytes(): number;
  /** The ring was filled beyond that; it is to be trimmed when the waiting clients are served. */
  overgrown(channel: C): void;
  /** A subscriber was sent something from its inbox. */
  inboxDelivered(subscriber: Subscriber): void;
  /** A subscriber had no room for a publication: the runtime is closing its socket. */
  slowConsumer(channel: C): void;
  /** A connection of this instance, by its id; none for none. */
  subscriberOf(client: string | undefined): Subscriber | undefined;
  /** Continuity broke: every subscriber must be told. */
  lost(channel: C): void;
  /** The instance is overloaded: messages of low priority are left out. */
  overloaded(): boolean;
  /** Ends send windows; absent: no channel has one. */
  readonly windows?: Wheel<SendWindow>;
}
