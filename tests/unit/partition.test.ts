import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HASHED_TOKENS, partitionOf, partsOf } from "../../src/core/partition.ts";
import { subjects } from "../../src/core/subject.ts";

/** What `{{partition(16,1)}}` and `{{partition(16,1,2)}}` of nats-server 2.9.10 and 2.12.12 said. */
const SEEN = { room: 10, "room.42": 8, "größe.😀": 3, "{{wildcard(1)}}.x": 5, "%.room": 3 } as const;

describe("partitions", () => {
  test("are those of nats-server", () => {
    for (const [tail, index] of Object.entries(SEEN)) expect(partitionOf(tail, 16)).toBe(index);
  });

  test("depend on the first tokens only, and on no dot", () => {
    const tokens = fc.array(fc.stringMatching(/^[a-z0-9]{1,4}$/), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(tokens, fc.integer({ min: 1, max: 64 }), (all, of) => {
        const index = partitionOf(all.join("."), of);
        expect(index).toBeGreaterThanOrEqual(0);
        expect(index).toBeLessThan(of);
        expect(partitionOf(all.slice(0, HASHED_TOKENS).join(""), of)).toBe(index);
      }),
    );
  });

  test("share names about evenly", () => {
    const counts = Array.from({ length: 16 }, () => 0);
    for (let room = 0; room < 16_000; room++) counts[partitionOf(`room.${room}`, 16)]!++;
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });
});

describe("a namespace with partitions", () => {
  const at = subjects();
  const room = { namespace: "chat", name: "room.42" };

  test("has streams, subjects and marks of its own, under the root that services may publish to", () => {
    expect(partsOf(1)).toEqual([undefined]);
    expect(partsOf(3).map((part) => at.stream("chat", part))).toEqual([
      "RT_chat_p0of3",
      "RT_chat_p1of3",
      "RT_chat_p2of3",
    ]);
    expect(at.messages("chat", { index: 8, of: 16 })).toBe("rt.%.chat.16.8.>");
    expect(at.divided("chat")).toBe("rt.%.chat.>");
    expect(at.stored(room, 16)).toBe("rt.%.chat.16.8.room.42");
    expect(at.cleared(room, 16)).toBe("rt.%.chat.16.8.%.room.42");
    expect([at.stored(room, 1), at.cleared(room, 1)]).toEqual(["rt.chat.room.42", "rt.chat.%.room.42"]);
  });

  test("leads stored subjects back to their channel, and marks nowhere", () => {
    expect(at.channel(at.stored(room, 16))).toEqual({ ...room, id: "chat:room.42" });
    for (const subject of [at.cleared(room, 16), "rt.%.chat.16.8", "rt.%.chat.x.8.a", "rx.%.chat.16.8.a"])
      expect(at.channel(subject)).toBeUndefined();
  });

  test("is mapped by entries of which no two fit one subject", () => {
    const mapping = at.mapping("chat", 4);
    expect(mapping).toHaveLength(HASHED_TOKENS + 1);
    expect(mapping[0]).toEqual({
      from: "rt.chat.*",
      to: "rt.%.chat.4.{{partition(4,1)}}.{{wildcard(1)}}",
    });
    expect(mapping[1]!.to).toBe("rt.%.chat.4.{{partition(4,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}");
    expect(mapping.at(-1)!.from).toBe(`rt.chat${".*".repeat(HASHED_TOKENS)}.>`);
    expect(new Set(mapping.map(({ from }) => from.split(".").length)).size).toBe(HASHED_TOKENS + 1);
  });
});
