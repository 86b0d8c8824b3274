import { expect, test } from "bun:test";
import type { PresenceChannel } from "pusher-js";
import { startInstance } from "../helpers/instances.ts";
import { PUSHER_CONFIG, pusherClient } from "../helpers/pusher-clients.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

const CHANNEL = "presence-crash";

test("members of a killed instance leave, and those whose notices were lost are found", async () => {
  await using nats = await natsServer();
  await using redis = await redisServer();
  const config = { ...PUSHER_CONFIG, presence: { leaseTtl: "3s", leaseRenew: "500ms" } };
  const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
  await using a = await startInstance({ config, env });
  await using b = await startInstance({ config, env });
  using ann = pusherClient(b, { user: "ann" });
  using bob = pusherClient(a, { user: "bob" });
  using cat = pusherClient(a, { user: "cat", watchlist: [] });
  const view = (await ann.subscribe(CHANNEL)) as PresenceChannel;
  await bob.subscribe(CHANNEL);
  await cat.subscribe(CHANNEL);
  await until(() => view.members.count === 3);
  bob.pusher.disconnect();
  cat.pusher.disconnect();
  // Before their grace period is over, so that nobody says that they left.
  await a.kill();
  await until(() => view.members.count === 1, { timeoutMs: 20_000, what: "the sweep" });
  expect(ann.data("pusher_internal:member_removed", CHANNEL)).toHaveLength(2);

  // While NATS is away nobody is told anything; the list is compared with presence when it is back.
  await using c = await startInstance({ config, env });
  using dan = pusherClient(c, { user: "dan" });
  await dan.subscribe(CHANNEL);
  await until(() => view.members.count === 2);
  await nats.kill();
  dan.pusher.disconnect();
  await until(
    async () => {
      const { num_users } = await c.api<{ num_users: number }>("presence_stats", {
        channel: `shop:${CHANNEL}`,
      });
      return num_users === 1;
    },
    { what: "presence to know of the leave" },
  );
  expect(view.members.count).toBe(2);
  await nats.restart();
  await until(() => view.members.count === 1, { timeoutMs: 20_000, what: "the comparison" });
  expect(ann.states.at(-1)).toBe("connected");
}, 40_000);
