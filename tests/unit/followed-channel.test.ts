import { expect, test } from "bun:test";
import { headers, type Msg } from "nats";
import type { ChannelSink } from "../../src/broker/broker.ts";
import { startChain } from "../../src/broker/nats/follow/chain.ts";
import { type ChannelContext, FollowedChannel } from "../../src/broker/nats/follow/followed-channel.ts";
import { parseChannel } from "../../src/core/channel.ts";
import { Stats } from "../../src/core/stats.ts";
import { offsetOf, sequenceOf } from "../../src/core/tag.ts";
import { channelContext } from "../helpers/followed-channel.ts";

/** A message as the client library hands it over. */
function message(body: string, fields: Record<string, string> = {}): Msg {
  const own = headers();
  for (const [name, value] of Object.entries(fields)) own.set(name, value);
  return { data: new TextEncoder().encode(body), headers: own } as unknown as Msg;
}

function republished(seq: number, prev: number, body = String(seq)): Msg {
  return message(body, { "Nats-Sequence": String(seq), "Nats-Last-Sequence": String(prev) });
}

function follow(own: Partial<ChannelContext> = {}) {
  const said: string[] = [];
  const stats = new Stats();
  const context = channelContext({
    rejected: (_channel, offset, flaw) => void said.push(`rejected ${sequenceOf(offset)} ${flaw}`),
    idle: () => void said.push("idle"),
    stats,
    ...own,
  });
  const channel = new FollowedChannel(parseChannel("keep:x"), context);
  channel.subscription = { unsubscribe() {} };
  const sink = (name: string): ChannelSink => ({
    publication: ({ offset, data }) => void said.push(`${name} ${sequenceOf(offset)} ${data}`),
    event: ({ kind }) => void said.push(`${name} ${kind}`),
    lost: ({ offset }, why) => void said.push(`${name} lost ${offset} ${why}`),
  });
  return { channel, said, sink, stats };
}

/** As {@link follow}, on a stream; the channel's newest message is 4. */
function followStream() {
  const told: string[] = [];
  const one = follow({
    stream: {
      delivered: () => {},
      held: () => {},
      suspect: () => {},
      contradicts: () => false,
      saw: ({ seq }) => void told.push(`saw ${seq}`),
      duplicate: ({ seq }) => void told.push(`duplicate ${seq}`),
      odd: ({ last }) => void told.push(`odd ${last}`),
      doubtful: () => false,
      catchingUp: () => false,
      look: async () => {},
      behind: () => void told.push("behind"),
      offset: ({ seq }) => offsetOf(seq, 2),
      current: (position) => position,
    },
  });
  startChain(one.channel, 4, FollowedChannel.deliver);
  return { ...one, told };
}

test("a channel delivers what is in line by itself, and tells its follower what is missing", () => {
  const { channel, said, sink, told } = followStream();
  channel.attach(sink("a"));
  channel.take(republished(6, 4));
  channel.take(republished(9, 8));
  channel.take(republished(6, 4));
  expect(said).toEqual(["a 6 6"]);
  expect(told).toEqual(["saw 6", "saw 9", "behind", "duplicate 6"]);
  channel.take(republished(8, 6));
  expect(said).toEqual(["a 6 6", "a 8 8", "a 9 9"]);
  expect(channel.position.offset).toBe(offsetOf(9, 2));
});

test("a sink that throws harms neither the others nor what comes after", () => {
  const { channel, said, sink } = followStream();
  const broken = sink("broken");
  channel.attach({
    ...broken,
    publication() {
      throw new Error("broken");
    },
  });
  channel.attach(sink("b"));
  channel.take(republished(5, 4));
  channel.take(republished(6, 5));
  expect(said).toEqual(["b 5 5", "b 6 6"]);
});

test("what the namespace does not accept is reported, and keeps its place", () => {
  const { channel, said, sink } = followStream();
  channel.attach(sink("a"));
  channel.take(republished(5, 4, "no JSON"));
  channel.take(republished(6, 5));
  expect(said).toEqual(["rejected 5 not JSON", "a 6 6"]);
});

test("nobody attached: nothing is read of a message, and the chain goes on", () => {
  const { channel, said, sink } = followStream();
  channel.take(republished(5, 4, "no JSON"));
  channel.attach(sink("a"));
  channel.take(republished(6, 5));
  expect(said).toEqual(["a 6 6"]);
});

test("a channel event reaches all, and no message of a stream is one", () => {
  const { channel, said, sink, told } = followStream();
  channel.attach(sink("a"));
  channel.attach(sink("b"));
  const count = { "Trunkline-Notice": "count", "Trunkline-Count": "3" };
  channel.take(message("", count));
  expect([said, told]).toEqual([["a count", "b count"], []]);
  channel.take(message("5", { ...count, "Nats-Sequence": "5", "Nats-Last-Sequence": "4" }));
  expect(said.slice(2)).toEqual(["a 5 5", "b 5 5"]);
});

test("without history every message counts once, whatever sequence it claims", () => {
  const { channel, said, sink, stats } = follow();
  channel.last = 0;
  channel.attach(sink("a"));
  channel.take(republished(7, 6));
  channel.take(republished(7, 6));
  expect(said).toEqual(["a 0 7", "a 0 7"]);
  expect(stats.brokerLive).toBe(2);
});

test("who detaches while sinks are called hears nothing more, and the last one leaves the channel idle", () => {
  const { channel, said, sink } = followStream();
  const detach = { others() {} };
  channel.attach({
    ...sink("a"),
    publication: () => detach.others(),
  });
  const second = channel.attach(sink("b"));
  detach.others = () => second.detach();
  channel.take(republished(5, 4));
  expect(said).toEqual([]);
  channel.detachAll();
  expect([channel.attached, said]).toEqual([false, []]);
  const last = channel.attach(sink("c"));
  channel.take(republished(6, 5));
  last.detach();
  last.detach();
  expect(said).toEqual(["c 6 6", "idle"]);
});

test("a closed channel takes nothing", () => {
  const { channel, said, sink } = followStream();
  channel.attach(sink("a"));
  channel.subscription = undefined;
  channel.take(republished(5, 4));
  expect([said, channel.last]).toEqual([[], 4]);
});
