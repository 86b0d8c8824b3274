import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { channelId, MAX_CHANNEL_LENGTH, parseChannel } from "../../src/core/channel.ts";
import { CommandError, Errors } from "../../src/core/errors.ts";
import { decodeTail, encodeTail, subjects } from "../../src/core/subject.ts";

/** Characters with a meaning in NATS, its protocol or our escapes, more often than chance would bring them. */
const unit = fc.oneof(
  fc.constantFrom(..." .*>%\r\n\t\0\x7f\u0085\u00a0\u2028$:AZ29aéü😀"),
  fc.constantFrom("%2E", "%2e", "..", "%", "%41", "a.b"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 3 }),
);
const names = fc
  .array(unit, { minLength: 1, maxLength: 40 })
  .map((units) => units.join("").slice(0, MAX_CHANNEL_LENGTH))
  .filter((name) => name.isWellFormed());

/** Names so alike that two of them often look the same once escaped wrongly. */
const close = fc.string({
  unit: fc.constantFrom(".", "%", "2", "E", " ", "a", "%2E", "%20"),
  minLength: 1,
  maxLength: 4,
});

const refused = (build: () => unknown) => {
  expect(build).toThrow(CommandError);
  try {
    build();
  } catch (error) {
    expect((error as CommandError).error).toEqual(Errors.badRequest);
  }
};

describe("tails", () => {
  test("ordinary names are their own tails", () => {
    for (const name of ["room.42", "a", "a-b_c", "ünïcödé.😀", "$JS.API", "a:b"]) {
      expect(encodeTail(name)).toBe(name);
      expect(decodeTail(name)).toBe(name);
    }
  });

  test("what NATS cannot carry is escaped, byte by byte", () => {
    const known: Record<string, string> = {
      "a b": "a%20b",
      "*": "%2A",
      "a.>": "a.%3E",
      "100%": "100%25",
      "a..b": "a%2E%2Eb",
      ".a": "%2Ea",
      "a.": "a%2E",
      ".": "%2E",
      "...": "%2E%2E%2E",
      "a. .b": "a.%20.b",
      "\r\n": "%0D%0A",
      "\u0085": "%C2%85",
      "\x7f": "%7F",
    };
    for (const [name, tail] of Object.entries(known)) {
      expect(encodeTail(name)).toBe(tail);
      expect(decodeTail(tail)).toBe(name);
    }
  });

  test("every name comes back from its tail", () => {
    fc.assert(
      fc.property(names, (name) => decodeTail(encodeTail(name)) === name),
      { numRuns: 2_000 },
    );
  });

  test("a tail is made of tokens that are not empty and hold nothing with a meaning", () => {
    fc.assert(
      fc.property(names, (name) => {
        for (const token of encodeTail(name).split(".")) {
          if (token === "" || /[\0-\x20\x7f-\x9f*>]/.test(token)) return false;
        }
        return encodeTail(name).isWellFormed() && new TextEncoder().encode(encodeTail(name)).length < 2_000;
      }),
      { numRuns: 2_000 },
    );
  });

  test("no two names share a tail", () => {
    fc.assert(
      fc.property(close, close, (one, other) => (one === other) === (encodeTail(one) === encodeTail(other))),
      { numRuns: 2_000 },
    );
  });

  test("whatever can be read as a name is written so and no other way", () => {
    fc.assert(
      fc.property(fc.oneof(names, names.map(encodeTail), names.map(encodeURIComponent)), (tail) => {
        const name = decodeTail(tail);
        return name === undefined || encodeTail(name) === tail;
      }),
      { numRuns: 2_000 },
    );
    for (const tail of [
      "",
      ".",
      "a..b",
      "a.",
      "*",
      "a b",
      "%",
      "%2",
      "%2e",
      "%41",
      "a%2Eb",
      "%FF",
      "%ED%A0%80",
      "\ud800",
      "x".repeat(256),
    ]) {
      expect(decodeTail(tail)).toBeUndefined();
    }
  });

  test("a name without a UTF-8 form, empty or too long has no tail", () => {
    for (const name of ["", "\ud800", "a\udfff", "x".repeat(256)]) refused(() => encodeTail(name));
    expect(encodeTail("\u0085".repeat(255)).length).toBe(255 * 6);
  });
});

describe("subjects", () => {
  const at = subjects();
  const room = parseChannel("chat:room.42");

  test("are those of the design", () => {
    expect(at.message(room)).toBe("rt.chat.room.42");
    expect(at.live(room)).toBe("rtl.chat.room.42");
    expect(at.message(parseChannel("lobby"))).toBe("rt.default.lobby");
    expect(at.messages("chat")).toBe("rt.chat.>");
    expect(at.lives("chat")).toBe("rtl.chat.>");
    expect(at.rpc("math.add")).toBe("rtrpc.math.add");
    expect(at.rpc("a b\r\nPUB x 0")).toBe("rtrpc.a%20b%0D%0APUB%20x%200");
    expect(at.auth("connect")).toBe("rtauth.connect");
    expect(at.event("join")).toBe("rtevt.join");
    expect(at.events()).toBe("rtevt.>");
    expect(at.control("drain")).toBe("rtctl.drain");
    expect(at.control("drain", "i-1")).toBe("rtctl.inst.i-1.drain");
    expect(at.controls("i-1")).toEqual(["rtctl.*", "rtctl.inst.i-1.*"]);
    expect(at.stream("chat")).toBe("RT_chat");
    expect(at.eventStream()).toBe("RT_EVENTS");
    const other = subjects("acme");
    expect([other.message(room), other.live(room), other.stream("chat")]).toEqual([
      "acme.chat.room.42",
      "acmel.chat.room.42",
      "ACME_chat",
    ]);
  });

  test("of namespaces with capitals, underscores and dots stay one token, and their streams apart", () => {
    const namespaces = [
      "news",
      "News",
      "my_ns",
      "chat.v2",
      "chat",
      "EVENTS",
      "WEBHOOKS",
      "a_eu",
      "a",
      "a_p0of4",
      "1",
    ];
    for (const namespace of namespaces) {
      const channel = { namespace, name: "x.y" };
      const subject = at.message(channel);
      expect(subject.split(".")).toHaveLength(4);
      expect(at.channel(subject)).toEqual({ ...channel, id: `${namespace}:x.y` });
      expect(at.channel(at.stored(channel, 4))).toEqual({ ...channel, id: `${namespace}:x.y` });
    }
    const streams = [
      at.eventStream(),
      at.outboxStream(),
      ...namespaces.flatMap((namespace) => {
        const own = [at.stream(namespace), at.stream(namespace, { index: 0, of: 4 })];
        return [...own, ...own.map((stream) => at.mirror(stream, "eu"))];
      }),
    ].map((stream) => stream.toLowerCase()); // as some file systems have them
    expect(new Set(streams).size).toBe(streams.length);
    for (const stream of streams) expect(stream).toMatch(/^[a-z0-9_=-]+$/);
  });

  test("lead back to their channel", () => {
    fc.assert(
      fc.property(names, (name) => {
        const channel = { namespace: "chat", name };
        const expected = name.length <= MAX_CHANNEL_LENGTH - "chat:".length && {
          ...channel,
          id: channelId("chat", name),
        };
        for (const subject of [at.message(channel), at.live(channel)]) {
          expect(at.channel(subject)).toEqual(expected || undefined);
        }
      }),
    );
    expect(at.channel("rt.default.lobby")).toEqual(parseChannel("lobby"));
  });

  test("that are no channel's lead nowhere", () => {
    for (const subject of [
      "",
      "rt",
      "rt.chat",
      "rt.chat.",
      "rt.-a.x",
      "rt.%2Ea.x",
      "rt.a%2e.x",
      "rt.a%5F.x",
      "rtx.chat.x",
      "rtevt.join.x",
      "rt.chat.a..b",
      "rt.chat.%41",
      "rt.default.chat:x", // without its prefix it would be read as chat:x
    ]) {
      expect(at.channel(subject)).toBeUndefined();
    }
  });

  test("of control signals lead back to their kind", () => {
    expect(at.controlKind("rtctl.drain")).toBe("drain");
    expect(at.controlKind("rtctl.inst.i-1.drain")).toBe("drain");
    for (const subject of ["rtctl.", "rtctl.A", "rtevt.drain", "drain"]) {
      expect(at.controlKind(subject)).toBeUndefined();
    }
  });

  test("are not made of anything malformed", () => {
    for (const bad of ["", "-a", ".a", "%", "ü", "a b", "*", ">", "a\r\nb", "x".repeat(65)]) {
      refused(() => at.message({ namespace: bad, name: "x" }));
      refused(() => at.live({ namespace: bad, name: "x" }));
      refused(() => at.messages(bad));
      refused(() => at.stream(bad));
    }
    for (const bad of ["", "A", "a.b", "a b", "*", ">", "a\r\nb", "x".repeat(40)]) {
      refused(() => at.event(bad));
      refused(() => at.control(bad));
      expect(() => subjects(bad)).toThrow();
    }
    for (const bad of ["", "a.b", "a b", "*", "a\r\nb", "-a", "x".repeat(65)]) {
      refused(() => at.control("drain", bad));
      refused(() => at.controls(bad));
    }
    refused(() => at.rpc(""));
    refused(() => at.rpc("x".repeat(300)));
  });
});
