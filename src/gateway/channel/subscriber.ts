import type { Codec, Frame } from "../../protocol/codec.ts";

/** What a channel needs of those it sends to. */
export interface Subscriber {
  /** Id of the connection. */
  readonly client: string;
  readonly codec: Codec;
  /** @param compress false: it is not worth it */
  send(frame: Frame, compress?: boolean): void;
  /** Subscribes its socket to a native topic of the runtime. */
  subscribeTopic(topic: string): void;
  unsubscribeTopic(topic: string): void;
  /** To all subscribers of the topic but itself. Returns false when one of them had no room for it. */
  publishTopic(topic: string, frame: Frame, compress?: boolean): boolean;
  /** By which user id it is listed in a channel, where that is not the one it has everywhere. */
  userIn(channel: string): string | undefined;
}
