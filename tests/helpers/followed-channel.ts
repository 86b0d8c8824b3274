import type { ChannelContext } from "../../src/broker/nats/follow/followed-channel.ts";
import { silent } from "../../src/core/log.ts";
import { NAMESPACE_DEFAULTS } from "../../src/core/namespace.ts";
import { Stats } from "../../src/core/stats.ts";

/** What the channels of a namespace `keep` share, with nobody behind it. Without history unless a stream is given. */
export function channelContext(own: Partial<ChannelContext> = {}): ChannelContext {
  return {
    rules: { ...NAMESPACE_DEFAULTS, name: "keep" },
    stream: undefined,
    subject: ({ name }) => name,
    rejected() {},
    idle() {},
    log: silent,
    stats: new Stats(),
    ...own,
  };
}
