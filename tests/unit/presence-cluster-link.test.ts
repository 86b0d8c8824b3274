import { describe, expect, test } from "bun:test";
import type { Command, RedisLink, Reply } from "../../src/presence/redis/link.ts";
import { LinkError, ReplyError } from "../../src/presence/redis/link.ts";
import { clusterLink } from "../../src/presence/redis/link-cluster.ts";
import { PART_TAGS, PARTS, partOf, slotOf } from "../../src/presence/redis/parts.ts";
import { until } from "../helpers/until.ts";

interface FakeNode {
  /** Pipelines it was sent, without those that ask for the map. */
  readonly sent: (readonly Command[])[];
  maps: number;
  resets: number;
  answer: (command: Command) => Reply | LinkError;
  /** `undefined`: it does not answer. */
  map: (() => Reply) | undefined;
}

/** A cluster of fakes: `a:1` has the first half of the slots, `b:1` the second, as all say until told otherwise. */
function fakes(...names: string[]) {
  const nodes = new Map<string, FakeNode>();
  const halves = (): Reply => [
    [0, 8191, ["a", 1, "id"], ["r", 1, "id"]],
    [8192, 16_383, ["b", 1, "id"]],
  ];
  const node = (address: string): FakeNode => {
    const known = nodes.get(address);
    if (known) return known;
    const made: FakeNode = { sent: [], maps: 0, resets: 0, answer: () => address, map: halves };
    nodes.set(address, made);
    return made;
  };
  for (const name of names) node(name);
  const connect = (address: string): RedisLink => ({
    async send(commands) {
      const own = node(address);
      await null;
      if (commands[0]?.[0] === "CLUSTER") {
        own.maps++;
        if (!own.map) throw new LinkError("refused", "ECONNREFUSED");
        return [own.map()];
      }
      own.sent.push(commands);
      return commands.map((command) => {
        const answer = own.answer(command);
        if (answer instanceof LinkError) throw answer;
        return answer;
      });
    },
    reset: () => void node(address).resets++,
    close() {},
  });
  return { node, link: clusterLink({ seeds: ["a:1", "b:1"], connect }) };
}

const [low, high] = [PART_TAGS[0]!, PART_TAGS[PARTS - 1]!];
const moved = (to: string) => new ReplyError(`MOVED 1 ${to}`);

describe("the way to a cluster", () => {
  test("leads to whoever has a slot, in one pipeline for each node and turn", async () => {
    const { node, link } = fakes();
    await link.lane(low).send([["WARM"]], 100);
    const lanes = PART_TAGS.map((tag) => link.lane(tag));
    const answers = await Promise.all(
      lanes.map((lane, at) =>
        lane.send(
          [
            ["GET", at],
            ["TTL", at],
          ],
          100,
        ),
      ),
    );
    expect(answers.map(([first]) => first)).toEqual(
      PART_TAGS.map((tag) => (slotOf(tag) < 8192 ? "a:1" : "b:1")),
    );
    expect(node("a:1").sent.map((commands) => commands.length)).toEqual([1, PARTS]);
    expect(node("b:1").sent.map((commands) => commands.length)).toEqual([PARTS]);
    expect(node("a:1").maps + node("b:1").maps).toBe(2);
  });

  test("follows MOVED, remembers it, and sends nothing again that has run", async () => {
    const { node, link } = fakes();
    let runs = 0;
    node("a:1").answer = ([name]) => (name === "RAN" ? `${runs++}` : moved("c:7"));
    const lane = link.lane(low);
    expect(await lane.send([["RAN"], ["GET"], ["TTL"]], 100)).toEqual(["0", "c:7", "c:7"]);
    expect(node("c:7").sent).toEqual([[["GET"], ["TTL"]]]);
    node("a:1").map = node("b:1").map = node("c:7").map = () => [[0, 16_383, ["c", 7, "id"]]];
    expect(await lane.send([["GET"]], 100)).toEqual(["c:7"]);
    await until(async () => (await link.lane(high).send([["GET"]], 100))[0] === "c:7");
    expect(runs).toBe(1);
  });

  test("asks the other node once where a slot is moving (ASK), without remembering it", async () => {
    const { node, link } = fakes();
    node("a:1").answer = ([name]) => (name === "NEW" ? new ReplyError("ASK 1 b:1") : "here");
    const lane = link.lane(low);
    expect(await lane.send([["NEW"], ["OLD"]], 100)).toEqual(["b:1", "here"]);
    expect(node("b:1").sent).toEqual([[["ASKING"], ["NEW"]]]);
    expect(await lane.send([["OLD"]], 100)).toEqual(["here"]);
  });

  test("follows no more than a few redirections", async () => {
    const { node, link } = fakes();
    node("a:1").answer = () => moved("b:1");
    node("b:1").answer = () => moved("a:1");
    const error = await link
      .lane(low)
      .send([["GET"]], 1_000)
      .catch((reason) => reason);
    expect([error.kind, error.detail]).toEqual(["answer", "TRYAGAIN"]);
    expect(node("a:1").sent.length + node("b:1").sent.length).toBe(5);
  });

  test("takes an empty host of a redirection for the one that was asked, and IPv6 as it is", async () => {
    const { node, link } = fakes();
    node("a:1").answer = () => moved(":9");
    node("a:9").answer = () => moved("::1:5");
    expect(await link.lane(low).send([["GET"]], 100)).toEqual(["[::1]:5"]);
  });

  test("hands on what is refused while a slot is half moved, and what no node has", async () => {
    const { node, link } = fakes();
    node("a:1").answer = () => new ReplyError("TRYAGAIN Multiple keys request during rehashing of slot");
    expect(await link.lane(low).send([["GET"]], 100)).toEqual([new ReplyError("TRYAGAIN")]);
    const half = fakes();
    half.node("a:1").map = half.node("b:1").map = () => [[8192, 16_383, ["b", 1, "id"]]];
    const error = await half.link
      .lane(low)
      .send([["GET"]], 500)
      .catch((reason) => reason);
    expect([error.kind, error.detail]).toEqual(["answer", "CLUSTERDOWN"]);
  });

  test("learns from the others where a failed node's slots have gone", async () => {
    const { node, link } = fakes();
    const lane = link.lane(low);
    await lane.send([["GET"]], 100);
    node("a:1").answer = () => new LinkError("refused", "ECONNREFUSED");
    node("a:1").map = undefined;
    node("b:1").map = () => [[0, 16_383, ["b", 1, "id"]]];
    expect((await lane.send([["GET"]], 100).catch((reason) => reason)).kind).toBe("refused");
    await until(async () => (await lane.send([["GET"]], 100).catch(() => []))[0] === "b:1");
  });

  test("drops a connection only when it may be half dead: other parts use it", async () => {
    const { node, link } = fakes();
    const [one, other] = [link.lane(low), link.lane(PART_TAGS[1]!)];
    await one.send([["GET"]], 100);
    one.reset();
    expect(node("a:1").resets).toBe(0);
    node("a:1").answer = () => new LinkError("timeout");
    await Promise.allSettled([one.send([["GET"]], 100), other.send([["GET"]], 100)]);
    one.reset();
    other.reset();
    expect(node("a:1").resets).toBe(1);
  });

  test("says what answers there when it is no cluster, and fails in time", async () => {
    const { node, link } = fakes();
    node("a:1").map = node("b:1").map = () =>
      new ReplyError("ERR This instance has cluster support disabled");
    const error = await link
      .lane(low)
      .send([["GET"]], 100)
      .catch((reason) => reason);
    expect([error.kind, error.detail]).toEqual(["answer", "NOCLUSTER"]);
    const odd = fakes();
    odd.node("a:1").map = odd.node("b:1").map = () => [["nonsense"]];
    expect((await odd.link.masters(100).catch((reason) => reason)).detail).toBe("SHAPE");
    link.close();
    expect(
      (
        await link
          .lane(high)
          .send([["GET"]], 100)
          .catch((reason) => reason)
      ).kind,
    ).toBe("refused");
  });
});

test("names lie evenly in the parts, and the parts in the slots", () => {
  // As `CLUSTER KEYSLOT` says.
  expect([slotOf("123456789"), slotOf("chat:room.42"), slotOf("")]).toEqual([12_739, 7_927, 0]);
  const counts = new Map<number, number>();
  for (let n = 0; n < 32_000; n++) counts.set(partOf(`u${n}`), (counts.get(partOf(`u${n}`)) ?? 0) + 1);
  expect(counts.size).toBe(PARTS);
  for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(100);
  for (const [part, tag] of PART_TAGS.entries()) expect(partOf(tag)).toBe(part);
  // Never to be changed: instances of all versions meet in these keys.
  expect(PART_TAGS.join()).toBe(
    "10,113,21,3,61,72,50,43,11,112,20,2,60,73,51,42,12,111,23,1,63,70,52,41,13,110,22,0,62,71,53,40",
  );
});
