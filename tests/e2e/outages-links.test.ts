import { expect, test } from "bun:test";
import { connect, headers } from "nats";
import { Checker } from "../../src/bench/check/checker.ts";
import { watched } from "../helpers/checker.ts";
import { startInstance } from "../helpers/instances.ts";
import { natsServer } from "../helpers/servers.ts";

const CHANNEL = "chat:links";
const CLIENTS = 10;
const MESSAGES = 12_000;

test("links break all the time, and the instances remember next to nothing: every recovery is whole", async () => {
  await using nats = await natsServer();
  const config = {
    namespaces: { chat: { history: { size: 20_000, age: "1h", recoverLimit: 20_000 } } },
    channels: { ring: "4KiB", linger: "0s" },
    limits: { connectsPerIpPerSecond: 0 },
  };
  const env = { NATS_URL: nats.url };
  await using a = await startInstance({ config, env });
  await using b = await startInstance({ config, env });
  const checker = new Checker();
  using stack = new DisposableStack();
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, n) =>
      stack.use(await watched(checker, (n % 2 ? a : b).websocket, `user-${n}`, CHANNEL)),
    ),
  );
  const nc = await connect({ servers: nats.url });
  stack.defer(() => void nc.close());
  const publishers = Array.from({ length: 40 }, (_, n) =>
    checker.publish({
      channel: CHANNEL,
      from: `service-${n}`,
      everyMs: 0,
      send: (data, id) => {
        const own = headers();
        own.set("Nats-Msg-Id", id);
        return nc.jetstream().publish("rt.chat.links", JSON.stringify(data), { headers: own });
      },
    }),
  );
  let breaks = 0;
  const churn = setInterval(() => clients[breaks++ % CLIENTS]!.client.breakLink(), 20);
  await Promise.all(publishers.map((publisher) => publisher.more(MESSAGES / publishers.length, 20_000)));
  clearInterval(churn);
  await Promise.all(publishers.map((publisher) => publisher.stop()));
  await checker.judge(20_000);
  const { recoveries, discontinuities } = checker.totals;
  expect(discontinuities).toBe(0);
  expect(recoveries).toBeGreaterThan(CLIENTS);
  console.log(`${breaks} broken links, ${recoveries} recoveries, ${checker.delivered} deliveries`);
}, 60_000);
