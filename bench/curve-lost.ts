import { startStack } from "../src/bench/load/target/stack.ts";
import { natsBroker } from "../src/broker/nats/nats.ts";
import { parseChannel } from "../src/core/channel.ts";
import { silent } from "../src/core/log.ts";
import { NAMESPACE_DEFAULTS } from "../src/core/namespace.ts";
import { Stats } from "../src/core/stats.ts";
import { Children } from "../src/process/children.ts";

/** Channels that are attached at a time. */
const AT_ONCE = 500;
/** Messages a second to other channels meanwhile, and how many of those there are. */
const RATE = 100;
const BUSY = 100;
/** Messages that are lost one after the other: the longest time counts. */
const LOST = 3;
/** Heads of new channels are read a little after they joined: until none was read for so long, ms. */
const SETTLED_MS = 2_000;
const MOST_MS = 120_000;

/**
 * Loses the live copy of a message on a channel that is silent after it, while others go on. Resolves with the longest time
 * until the channel's sink had it, seconds, and with what was read of the store for that a second.
 */
export async function lostLastMessage(
  channels: number,
): Promise<{ readonly seconds: number; readonly readsPerSecond: number }> {
  await using children = new Children();
  await using stack = await startStack(children);
  const stats = new Stats();
  let lost: string | undefined;
  const history = { size: 100, ageMs: 600_000, recoverLimit: 100, replicas: 1 };
  const broker = natsBroker({
    ...{ servers: [stack.natsUrl], instance: "curve", region: "local", log: silent, stats },
    namespaces: new Map([["chat", { ...NAMESPACE_DEFAULTS, name: "chat", recovery: "stream", history }]]),
    intercept(message, pass) {
      if (message.subject === lost) lost = undefined;
      else pass();
    },
  });
  await broker.start();
  const arrived = new Map<string, () => void>();
  const nameOf = (n: number) => `chat:c${n}`;
  const attach = (id: string) =>
    broker.attach(parseChannel(id), { publication: () => arrived.get(id)?.(), event() {}, lost() {} });
  for (let at = 0; at < channels; at += AT_ONCE) {
    const count = Math.min(AT_ONCE, channels - at);
    await Promise.all(Array.from({ length: count }, (_, n) => attach(nameOf(at + n))));
  }
  for (let checks = -1; checks !== stats.headChecks; ) {
    checks = stats.headChecks;
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
  }
  const publish = (id: string) => broker.publish(parseChannel(id), '{"text":"hello"}');
  let busy = 0;
  const traffic = setInterval(() => void publish(nameOf(busy++ % BUSY)).catch(() => {}), 1_000 / RATE);
  const began = performance.now();
  const before = stats.headChecks + stats.streamReads;
  let longest = 0;
  try {
    for (let n = 1; n <= LOST; n++) {
      const victim = channels - n;
      const there = new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error("it was never found")), MOST_MS);
        arrived.set(nameOf(victim), () => {
          clearTimeout(timer);
          resolve();
        });
      });
      lost = `rtl.chat.c${victim}`;
      await publish(nameOf(victim));
      const since = performance.now();
      await there;
      longest = Math.max(longest, performance.now() - since);
    }
  } finally {
    clearInterval(traffic);
  }
  const reads = stats.headChecks + stats.streamReads - before;
  await broker.close();
  return { seconds: longest / 1_000, readsPerSecond: (reads * 1_000) / (performance.now() - began) };
}
