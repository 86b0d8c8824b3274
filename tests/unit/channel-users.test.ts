import { beforeEach, expect, test } from "bun:test";
import type { ClientInfo } from "../../src/core/publication.ts";
import type { Channel } from "../../src/gateway/channel/channel.ts";
import type { Members, Presence } from "../../src/presence/presence.ts";
import { ChannelUsersRegistry } from "../../src/pusher/channel-users.ts";

const CHANNEL = "shop:presence-x";

let members: ClientInfo[];
let told: string[];
let reads: number;
/** What the next read of presence waits for. */
let gate: Promise<void>;
let lists: ChannelUsersRegistry;
let channel: Channel;

const info = (user: string, client = user): ClientInfo => ({ client, user, chanInfo: `{"n":"${user}"}` });

beforeEach(() => {
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
  channel = {
    id: CHANNEL,
    live: true,
    followMembers() {},
    *members() {},
    userChanged: (kind: string, { user }: ClientInfo) => told.push(`${kind} ${user}`),
  } as unknown as Channel;
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
