import type { ChannelLog } from "../../broker/broker.ts";
import type { Logger } from "../../core/log.ts";
import type { Stats } from "../../core/stats.ts";
import type { Wheel } from "../../core/wheel.ts";
import type { Fanout } from "./audience.ts";
import type { SendWindow } from "./send-window.ts";
import type { Subscriber } from "./subscriber.ts";

/** What a channel needs of its instance. @typeParam C the channel */
export interface ChannelContext<C> {
  readonly broker: Pick<ChannelLog, "attach" | "history" | "verify">;
  readonly fanout: Fanout;
  readonly stats: Stats;
  /** See {@link Logger.trace}. */
  readonly log?: Pick<Logger, "trace">;
  /** Something was left out because a field of it cannot be written. */
  readonly refused?: (channel: string, field: string) => void;
  /** Most bytes the ring of one channel may hold now. */
  ringBytes(): number;
  /** The ring was filled beyond that; it is to be trimmed when the waiting clients are served. */
  overgrown(channel: C): void;
  /** A subscriber was sent something from its inbox. */
  inboxDelivered(subscriber: Subscriber): void;
  /** A subscriber had no room for a publication: the runtime is closing its socket. */
  slowConsumer(channel: C): void;
  /** A connection of this instance, by its id. */
  subscriberOf(client: string): Subscriber | undefined;
  /** Continuity broke: every subscriber must be told. */
  lost(channel: C): void;
  /** The instance is overloaded: messages of low priority are left out. */
  overloaded(): boolean;
  /** Ends send windows; absent: no channel has one. */
  readonly windows?: Wheel<SendWindow>;
}
