import { expect, test } from "bun:test";
import { testClient } from "../helpers/clients.ts";
import { trunkline } from "../helpers/command.ts";
import { startInstance, TEST_API_KEY } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** The question of whoever is on call, from a terminal, by both ways to an instance. */

test("why a user gets nothing is answered over NATS and HTTP, by an instance that has not got the user", async () => {
  await using nats = await natsServer();
  await using redis = await redisServer();
  const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
  await using a = await startInstance({ env: { ...env, INSTANCE_ID: "a" } });
  await using b = await startInstance({ env: { ...env, INSTANCE_ID: "b" } });
  using client = testClient(a.websocket, { user: "u7" });
  await client.connected();
  await b.api("publish", { channel: "chat:room", data: { n: 1 } });
  const question = ["why", "--user", "u7", "--channel", "chat:room"];

  const refused = await trunkline(question, { env: { NATS_URL: nats.url } });
  expect(refused.out).toMatch(/^cause {2}u7 is connected, and not subscribed to chat:room$/m);
  expect(refused.out).toMatch(/on a \(local\): js/);
  expect(refused.code).toBe(1);

  await client.subscribe("chat:room");
  const overHttp = async () =>
    await trunkline([...question, "--url", b.url], { env: { TRUNKLINE_API_KEYS: TEST_API_KEY } });
  const answered = await overHttp();
  expect([answered.code, answered.out]).toEqual([
    0,
    expect.stringContaining("was given everything of chat:room"),
  ]);

  client.centrifuge.disconnect();
  await until(async () => /no connection; the last one ended/.test((await overHttp()).out), {
    timeoutMs: 10_000,
  });

  const { out } = await trunkline(["instances", "--url", a.url], {
    env: { TRUNKLINE_API_KEYS: TEST_API_KEY },
  });
  expect(out.split("\n").filter((line) => /^local {2}[ab] .* connections/.test(line))).toHaveLength(2);
}, 40_000);
