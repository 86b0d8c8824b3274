import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  escapeName,
  packInfos,
  pair,
  presenceKeys,
  unescapeName,
  unpackMember,
  unpackMembers,
  unpair,
} from "../../src/presence/redis/keys.ts";

/** Any string at all: lone surrogates, controls, and plenty of what escaping itself is made of. */
const name = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.string({ unit: fc.constantFrom(..."%|{} :uD8020\r\n\0\ud800\udc00é"), maxLength: 12 }),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 6 })
    .map((units) => String.fromCharCode(...units)),
);

describe("names in keys", () => {
  test("come back as they were", () => {
    fc.assert(fc.property(name, (any) => unescapeName(escapeName(any)) === any));
  });

  test("are free of what separates, of control characters, of hash tags, and well-formed", () => {
    fc.assert(
      fc.property(name, (any) => {
        const escaped = escapeName(any);
        expect(escaped).not.toMatch(/[\0-\x20\x7f|{}]/);
        expect(escaped.isWellFormed()).toBe(true);
      }),
    );
  });

  test("are left alone when there is nothing to escape", () => {
    for (const plain of ["chat:room.42", "user:ann@example.com", "ключ-🙂", "a/b=c,d"]) {
      expect(escapeName(plain)).toBe(plain);
    }
    expect(escapeName("a b%{c|d}\r\n\ud83d")).toBe("a%20b%25%7Bc%7Cd%7D%0D%0A%uD83D");
  });

  test("stand in pairs that no other two names make", () => {
    fc.assert(
      fc.property(name, name, (left, right) => expect(unpair(pair(left, right))).toEqual([left, right])),
    );
  });
});

describe("keys", () => {
  const keys = presenceKeys("tl:");
  const kinds = [
    (one: string) => keys.lease(one),
    (one: string, two: string) => keys.held(pair(one, two)),
    (one: string, two: string) => keys.swept(pair(one, two)),
    (one: string) => keys.connection(one),
    (one: string) => keys.user(one),
    (one: string) => keys.members(one),
    (one: string) => keys.users(one),
    (one: string, two: string) => keys.cursor(one, two),
    () => keys.holders,
    () => keys.sweepLock,
    () => keys.sweepWatched,
    () => keys.sweepHoldOff,
  ];

  test("of different kinds or names never meet", () => {
    const any = fc.record({ kind: fc.nat(kinds.length - 1), one: name, two: name });
    fc.assert(
      fc.property(any, any, (left, right) => {
        const [build, other] = [kinds[left.kind]!, kinds[right.kind]!];
        const same =
          build === other &&
          (build.length < 1 || left.one === right.one) &&
          (build.length < 2 || left.two === right.two);
        expect(build(left.one, left.two) === other(right.one, right.two)).toBe(same);
      }),
      { numRuns: 2_000 },
    );
  });

  test("are those of the design", () => {
    expect(keys.lease("i1")).toBe("tl:inst:i1");
    expect(keys.connection("c1")).toBe("tl:conn:c1");
    expect(keys.user("ann")).toBe("tl:user:ann");
    expect(keys.members("chat:room.42")).toBe("tl:pres:chat:room.42");
    expect(presenceKeys("other:").holders).toBe("other:holders");
  });
});

test("a member's value comes back as it was, on one line", () => {
  const json = fc.option(fc.json(), { nil: undefined });
  fc.assert(
    fc.property(name, name, json, json, (client, user, connInfo, chanInfo) => {
      const member = {
        ...{ client, user },
        ...(connInfo !== undefined && { connInfo }),
        ...(chanInfo !== undefined && { chanInfo }),
      };
      const value = `0123abcd ${escapeName(user)} ${packInfos(member)}`;
      expect(value).not.toInclude("\n");
      expect(unpackMember(client, value)).toEqual(member);
    }),
  );
});

test.each([
  "",
  "nonsense",
  "0123abcd ann [null",
  '0123abcd ann {"a":1}',
  "0123abcd ann [1,2]",
  '0123abcd ann ["NOT JSON",null]',
  '0123abcd ann ["1\\n2",null]',
  '0123abcd ann ["1"]',
])("a value that no instance wrote costs one member: %p", (value) => {
  const good = "0123abcd ann ";
  const flat = [pair("i", "one"), good, pair("i", "two"), value, pair("i", "three"), good];
  const member = (client: string) => ({ client, user: "ann" });
  expect(unpackMembers(flat)).toEqual([member("one"), undefined, member("three")]);
});
