import { expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { connect } from "nats";
import { EVENT_KINDS } from "../../src/events/shapes.ts";
import { testClient } from "../helpers/clients.ts";
import { trunkline } from "../helpers/command.ts";
import { expectEvent } from "../helpers/events.ts";
import { startInstance, TEST_API_KEY } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** Events over HTTP from two instances on real NATS and Redis, and `trunkline outbox` on what was set aside. */

const KEY = Buffer.alloc(32, 9);
const SECRET = `whsec_${KEY.toString("base64")}`;

/** A backend that takes events, unless it refuses them. */
function backend(refuses: (event: Told) => boolean = () => false) {
  const events: Told[] = [];
  let forged = 0;
  const server = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0 },
    async fetch(request) {
      const { headers } = request;
      const body = await request.text();
      const text = `${headers.get("webhook-id")}.${headers.get("webhook-timestamp")}.${body}`;
      const signature = createHmac("sha256", KEY).update(text).digest("base64");
      if (headers.get("webhook-signature") !== `v1,${signature}`) forged++;
      const told = JSON.parse(body) as { events: Told[] };
      if (told.events.some(refuses)) return new Response("", { status: 422 });
      for (const event of told.events) events.push({ ...event, body });
      return new Response("");
    },
  });
  return {
    events,
    url: `http://127.0.0.1:${server.port}/hook`,
    get forged() {
      return forged;
    },
    kinds: () => events.map(({ type }) => type),
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

interface Told extends Record<string, unknown> {
  readonly type: string;
  readonly body?: string;
}

test("a backend hears of every kind of event, each once though two instances tell it, and a refused one is replayed", async () => {
  await using nats = await natsServer();
  await using redis = await redisServer();
  let refusing = true;
  await using all = backend((event) => refusing && event.type === "message" && event.user === "poison");
  await using rooms = backend();
  const env = { NATS_URL: nats.url, REDIS_URL: redis.url };
  const config = {
    presence: { leaseTtl: "3s", leaseRenew: "500ms" },
    namespaces: { chat: { presenceGrace: "0s" } },
    webhooks: {
      tries: 1,
      endpoints: [
        { name: "all", url: all.url, secret: SECRET },
        {
          ...{ name: "rooms", url: rooms.url, secret: SECRET, batch: true },
          channelPrefix: "chat:a",
          events: ["join", "leave"],
        },
      ],
    },
  };
  await using one = await startInstance({ config, env });
  await using two = await startInstance({ config, env });

  const ann = testClient(one.websocket, { user: "ann" });
  await ann.connected();
  await ann.subscribe("chat:a");
  await ann.subscribe("chat:b");
  await ann.centrifuge.send({ big: 1 });
  await until(() => all.kinds().includes("message"));
  ann.centrifuge.disconnect();
  await until(() => all.kinds().filter((kind) => kind === "vacated").length === 2);
  await two.api("block", { user: "mallory" });
  await until(() => new Set(all.kinds()).size === EVENT_KINDS.length, { what: "every kind" });
  expect(all.kinds().toSorted()).toEqual([...EVENT_KINDS, "join", "leave", "occupied", "vacated"].toSorted());
  expect(new Set(all.events.map(({ id }) => id)).size).toBe(all.events.length);
  expect(all.forged + rooms.forged).toBe(0);
  for (const { id, body: _, ...event } of all.events) expectEvent(event);
  await until(() => rooms.events.length === 2);
  expect(rooms.events.map(({ type, channel }) => `${type} ${channel}`)).toEqual([
    "join chat:a",
    "leave chat:a",
  ]);

  const jetstream = await connect({ servers: nats.url });
  const stored = await (await jetstream.jetstreamManager()).streams.info("RT_EVENTS");
  expect(stored.state.messages).toBe(all.events.length);
  await jetstream.close();

  using poison = testClient(two.websocket, { user: "poison" });
  await poison.connected();
  await poison.centrifuge.send({ big: 2 });
  using bob = testClient(one.websocket, { user: "bob" });
  await bob.connected();
  await bob.centrifuge.send("after");
  await until(() => all.events.some(({ data }) => data === "after"), { what: "what comes after it" });

  const command = async (...args: string[]) => {
    const { code, out, err } = await trunkline(["outbox", ...args], { env });
    expect([code, err]).toEqual([0, ""]);
    return out;
  };
  const line = "events.endpoint.all";
  await until(async () => (await command("list")).includes("1 set aside"), { what: "one that is set aside" });
  const listed = JSON.parse(await command("list", "--json")) as { lines: Record<string, unknown>[] };
  expect(listed.lines).toMatchObject([
    { line, waiting: 0, set_aside: 1 },
    { line: "events.endpoint.rooms", waiting: 0, set_aside: 0 },
  ]);
  expect(await command("look", line)).toMatch(/status 422, 2 tries .*"user":"poison".*"data":\{"big":2\}\}/);
  refusing = false;
  const overHttp = await trunkline(["outbox", "replay", line, "--url", two.url], {
    env: { TRUNKLINE_API_KEYS: TEST_API_KEY },
  });
  expect(overHttp).toMatchObject({ code: 0, out: "1 put back at the end of the line\n" });
  await until(() => all.events.some(({ user, type }) => user === "poison" && type === "message"), {
    what: "what was set aside",
  });
  await until(() => all.events.some(({ action }) => action === "replayed"), { what: "the audit" });
  expect((await trunkline(["outbox", "look"], { env })).err).toContain("which line?");
}, 60_000);
