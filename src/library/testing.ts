import { memoryBus } from "../broker/memory/memory.ts";
import { parseChannel } from "../core/channel.ts";
import { createLogger } from "../core/log.ts";
import { start } from "./start.ts";
import type { Trunkline, TrunklineOptions } from "./types.ts";

export * from "./trunkline.ts";
export { until } from "./until.ts";

/** A gateway for the tests of an app: in the test's process, everything embedded, on a port of its own. */
export interface TestTrunkline extends Omit<Trunkline, "fetch" | "websocket"> {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  /** For stock clients: `ws://127.0.0.1:port/connection/websocket`. */
  readonly websocketUrl: string;
  /** What was logged, newest last. */
  readonly logged: readonly { readonly level: string; readonly message: string }[];
  /** Closes every connection, as a broken link does: clients come back by themselves. */
  breakLinks(): void;
  /** NATS is away: publishes fail, and what is there already goes on, until it is called with `false`. */
  setNatsAway(away: boolean): void;
  /**
   * Loses what is kept of a channel, or of all channels of a namespace (`chat:`): clients that come back are told that
   * they may have missed something.
   */
  forget(channel: string): void;
}

/** Starts one; release it with `await using`. Without a profile it is `dev`: everybody may do everything. */
export async function testTrunkline(options: TrunklineOptions = {}): Promise<TestTrunkline> {
  const defaults = {
    ...{ host: "127.0.0.1", port: 0 },
    auth: { tokenSecret: crypto.randomUUID() + crypto.randomUUID() },
  };
  const logged: { level: string; message: string }[] = [];
  let made: ReturnType<typeof memoryBus> | undefined;
  const { trunkline, instance } = await start(
    {
      profile: "dev",
      log: createLogger("debug", (line) => void logged.push(line)),
      ...options,
      settings: { ...defaults, ...options.settings },
    },
    {
      ownPort: true,
      bus({ namespaces }) {
        made = memoryBus({ namespaces });
        return made;
      },
    },
  );
  const bus = made!;
  const { fetch, websocket, ...operations } = trunkline;
  return {
    ...operations,
    reload: (settings) => operations.reload({ ...defaults, ...settings }),
    url: instance.url,
    websocketUrl: `${instance.url.replace("http", "ws")}/connection/websocket`,
    logged,
    breakLinks: () => instance.breakLinks(),
    setNatsAway: (away) => bus.setAway(away),
    forget(channel) {
      if (channel.endsWith(":")) bus.reset(channel.slice(0, -1));
      else bus.truncate(parseChannel(channel));
    },
  };
}
