import { beforeEach, expect, test } from "bun:test";
import { parseChannel } from "../../src/core/channel.ts";
import { NAMESPACE_DEFAULTS } from "../../src/core/namespace.ts";
import { NO_POSITION } from "../../src/core/position.ts";
import type { ClientInfo } from "../../src/core/publication.ts";
import { Stats } from "../../src/core/stats.ts";
import { Channel } from "../../src/gateway/channel/channel.ts";
import type { ChannelContext } from "../../src/gateway/channel/channel-context.ts";
import type { Subscriber } from "../../src/gateway/channel/subscriber.ts";
import type { Members, Presence } from "../../src/presence/presence.ts";
import { pusher } from "../../src/protocol/pusher/pusher.ts";
import { ChannelUsersRegistry } from "../../src/pusher/channel-users.ts";

const CHANNEL = "shop:presence-x";

let members: ClientInfo[];
let told: string[];
let reads: number;
/** What the next read of presence waits for. */
let gate: Promise<void>;
let lists: ChannelUsersRegistry;
let channel: Channel;

/** A channel's instance, as far as users matter. */
const context: ChannelContext<Channel> = {
  broker: {
    attach: async () => ({ position: NO_POSITION, current: (one) => one, detach() {} }),
    history: () => Promise.reject(new Error("nothing is kept")),
    verify: () => Promise.reject(new Error("nothing is kept")),
  },
  fanout: { publish: () => true },
  stats: new Stats(),
  ringBytes: () => 0,
  overgrown() {},
  inboxDelivered() {},
  slowConsumer() {},
  subscriberOf: () => undefined,
  lost() {},
  overloaded: () => false,
};

/** Is told who comes and goes. */
const follower: Subscriber = {
  client: "follower",
  codec: pusher,
  send(frame) {
    const { event, data } = JSON.parse(frame as string) as { event: string; data: string };
    const kind = event === "pusher_internal:member_added" ? "join" : "leave";
    told.push(`${kind} ${(JSON.parse(data) as { user_id: string }).user_id}`);
  },
  subscribeTopic() {},
  unsubscribeTopic() {},
  publishTopic: () => true,
  userIn: () => undefined,
};

const info = (user: string, client = user): ClientInfo => ({ client, user, chanInfo: `{"n":"${user}"}` });

beforeEach(async () => {
  [members, told, reads, gate] = [[], [], 0, Promise.resolve()];
  const presence = {
    async members(): Promise<Members> {
      reads++;
      const found = [...members];
      await gate;
      return { members: found, partial: false };
    },
  } as Partial<Presence> as Presence;
  lists = new ChannelUsersRegistry({
    presence,
    fanout: { publish: () => true },
    failed: (error) => {
      throw error;
    },
  });
  channel = new Channel(parseChannel(CHANNEL), { ...NAMESPACE_DEFAULTS, name: "shop" }, context);
  await channel.prepare();
  channel.join(follower, true);
});

test("one read serves all who wait, and users are known once", async () => {
  members = [info("ann"), info("ann", "ann-2"), info("bob"), info("", "nobody")];
  const list = lists.of(channel);
  await Promise.all([list.load(), list.load()]);
  expect(reads).toBe(1);
  expect([...list.users]).toEqual([
    ["ann", '{"n":"ann"}'],
    ["bob", '{"n":"bob"}'],
  ]);
  expect(told).toEqual([]);
});

test("who comes and goes is told once, whoever said it first", async () => {
  const list = lists.of(channel);
  await list.load();
  list.arrived(info("ann"));
  list.memberEvent({ kind: "join", info: info("ann"), of: "user" });
  list.memberEvent({ kind: "leave", info: info("bob"), of: "user" });
  list.memberEvent({ kind: "leave", info: info("ann"), of: "both" });
  list.memberEvent({ kind: "leave", info: info("ann"), of: "user" });
  expect(told).toEqual(["join ann", "leave ann"]);
});

test("what is heard while presence is read comes after it", async () => {
  members = [info("ann"), info("bob")];
  const open = Promise.withResolvers<void>();
  gate = open.promise;
  const list = lists.of(channel);
  const loading = list.load();
  list.memberEvent({ kind: "leave", info: info("ann"), of: "user" });
  list.memberEvent({ kind: "join", info: info("cat"), of: "user" });
  list.memberEvent({ kind: "join", info: info("bob"), of: "user" });
  open.resolve();
  await loading;
  expect([...list.users.keys()]).toEqual(["bob", "cat"]);
});

test("a doubtful list is compared with presence, and what differs is told", async () => {
  const list = lists.of(channel);
  members = [info("ann")];
  await list.load();
  members = [info("bob")];
  lists.tick(); // nothing was heard: nothing is read
  expect(reads).toBe(1);
  lists.doubt();
  lists.tick(list.lastEventAt + 60_000);
  await list.refresh();
  expect(told).toEqual(["join bob", "leave ann"]);
  lists.tick(list.lastEventAt + 120_000);
  expect(reads).toBe(2);
});
