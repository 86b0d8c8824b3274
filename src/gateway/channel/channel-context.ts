import type { ChannelLog } from "../../broker/broker.ts";
import type { Logger } from "../../core/log.ts";
import type { Stats } from "../../core/stats.ts";
import type { Session } from "../session/session.ts";
import type { Fanout } from "./audience.ts";
import type { Channel } from "./channel.ts";

/** What a channel needs of its instance. */
export interface ChannelContext {
  readonly broker: Pick<ChannelLog, "attach" | "history">;
  readonly fanout: Fanout;
  readonly stats: Stats;
  /** See {@link Logger.trace}. */
  readonly trace?: Logger["trace"];
  /** Most bytes the ring of one channel may hold now. */
  ringBytes(): number;
  /** The ring was filled beyond that; it is to be trimmed when the waiting clients are served. */
  overgrown(channel: Channel): void;
  /** A session was sent something from its inbox. */
  inboxDelivered(session: Session): void;
  /** A subscriber had no room for a publication: the runtime is closing its socket. */
  slowConsumer(channel: Channel): void;
  /** A connection of this instance, by its id. */
  sessionOf(client: string): Session | undefined;
  /** Continuity broke: every subscriber must be told. */
  lost(channel: Channel): void;
  /** The instance has more to do than it can: what matters least is left out. */
  overloaded(): boolean;
}
