import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  answerTo,
  closeCode,
  LOUD,
  member,
  metric,
  protobufMember,
  residentBytes,
  said,
  stranger,
  unharmed,
  verdict,
} from "../helpers/hostile.ts";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { clientFrame, OPCODE, type RawWebSocket } from "../helpers/raw-websocket.ts";
import { STOCK_CODECS } from "../helpers/stock-codec.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

const command = (id: unknown, method: string, fields: unknown) => JSON.stringify({ id, [method]: fields });
const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
/** A command whose last line is for the marker 99, which only a connection that lives on answers. */
const history = command(99, "history", { channel: "chat:frames", limit: 1 });

/** What a connected client sends, and what it gets: "ok", the error of command 99, or a close code. */
const COMMANDS: readonly (readonly [what: string, frame: string, gets: number | "ok"])[] = [
  ["text that is no JSON", "hello", 3501],
  ["JSON cut short", '{"id":99,"publish":{"channel":"chat:frames","da', 3501],
  ["two texts in one line", `${history} ${history}`, 3501],
  ["nothing", "", 3501],
  ["only newlines", "\n\n\n", 3501],
  ["a number", "7", 3501],
  ["null", "null", 3501],
  ["a list", `[${history}]`, 3501],
  ["a good command after a bad line", `x\n${history}`, 3501],
  ["blank lines between commands", `\n\n${history}\n\n`, 103],
  ["an unknown command", command(99, "explode", {}), 3501],
  ["no command", '{"id":99}', 3501],
  ["a command named after a method of every object", command(99, "constructor", {}), 3501],
  ["a command that is null", command(99, "publish", null), 3501],
  ["a command that is a list", command(99, "publish", []), 3501],
  ["a command of the schema that is not served", command(99, "ping", {}), 108],
  ["an id as text", command("99", "history", { channel: "chat:frames" }), 3501],
  ["a negative id", command(-1, "history", { channel: "chat:frames" }), 3501],
  ["an id too big", command(2 ** 32, "history", { channel: "chat:frames" }), 3501],
  ["an id with a fraction", command(1.5, "history", { channel: "chat:frames" }), 3501],
  ["no id, which makes it a pong nobody asked for", '{"history":{"channel":"chat:frames"}}', 3501],
  ["a pong nobody asked for", "{}", 3501],
  ["a channel that is a number", command(99, "history", { channel: 7 }), 3501],
  ["a channel that is an object", command(99, "subscribe", { channel: { toString: 1 } }), 3501],
  ["a token that is an object", command(99, "refresh", { token: {} }), 3501],
  ["a flag that is text", command(99, "subscribe", { channel: "chat:frames", flag: "2" }), 3501],
  ["recover as text", command(99, "subscribe", { channel: "chat:frames", recover: "yes" }), 3501],
  ["a negative offset", command(99, "subscribe", { channel: "chat:frames", offset: -1 }), 3501],
  ["an offset beyond all numbers", '{"id":99,"subscribe":{"channel":"chat:frames","offset":1e999}}', 3501],
  ["a limit with a fraction", command(99, "history", { channel: "chat:frames", limit: 0.5 }), 3501],
  ["a second connect", command(99, "connect", {}), 3501],
  ["an empty channel", command(99, "subscribe", { channel: "" }), 3501],
  ["another kind of subscription", command(99, "subscribe", { channel: "chat:frames", type: 1 }), 108],
  ["a name in __proto__", '{"id":99,"__proto__":{"history":{"channel":"chat:frames"}}}', 3501],
  ["a command nested 30,000 deep", `{"id":99,"publish":${nested(30_000)}}`, 3501],
  ["a field nested 30,000 deep", `{"id":99,"history":{"channel":${nested(30_000)}}}`, 3501],
  ["30,000 brackets that are never closed", '{"id":99,"publish":'.padEnd(30_000, "["), 3501],
];

const { commands } = STOCK_CODECS["centrifuge-protobuf"];
/** The same marker in Protobuf, and what it is without its length. */
const asked = commands({ id: 99, history: { channel: "chat:frames", limit: 1 } }) as Uint8Array;
const bare = asked.subarray(1);
const bytes = (...parts: readonly (number | Uint8Array)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === "number" ? Buffer.of(part) : part)));
/** Fields in fields: what a reader that follows unknown ones would recurse into. */
const deepFields = (depth: number) => {
  let inner = Buffer.alloc(0);
  for (let n = 0; n < depth && inner.length < 16_000; n++) {
    inner = bytes(0x6a, (inner.length & 127) | 128, inner.length >> 7, inner);
  }
  return inner;
};

/** What a connected Protobuf client sends, and what it gets. The codec's own tests know more of it. */
const PROTOBUF: readonly (readonly [what: string, frame: Uint8Array | string, gets: number | "ok"])[] = [
  ["a good command", asked, 103],
  ["JSON as bytes", Buffer.from(history), 3501],
  ["text", history, 3501],
  ["nothing", bytes(), 3501],
  ["a pong nobody asked for", bytes(0), 3501],
  ["a length cut short", bytes(0x80), 3501],
  ["a length of 2 GB", bytes(0xff, 0xff, 0xff, 0xff, 0x07, asked), 3501],
  ["a length beyond 32 bits", bytes(...Array.from({ length: 9 }, () => 0xff), 1, asked), 3501],
  ["a command cut short", asked.subarray(0, -1), 3501],
  ["bytes behind a command", bytes(asked, 1), 3501],
  ["a good command after a bad one", bytes(1, 0x80, asked), 3501],
  [
    "two commands",
    bytes(commands({ id: 98, presence: { channel: "chat:frames" } }) as Uint8Array, asked),
    103,
  ],
  ["an unknown field", bytes(bare.length + 3, bare, 0xf0, 0x01, 1), 103],
  ["an unknown group", bytes(bare.length + 2, bare, 0xf3, 0x01), 3501],
  ["an id as text", bytes(bare.length + 1, 10, 1, 0x39, bare.subarray(2)), 3501],
  ["a second connect", commands({ id: 99, connect: {} }) as Uint8Array, 3501],
  ["a name that is not UTF-8", bytes(6, 8, 99, 66, 2, 10, 0xff), 3501],
  ["fields nested as deep as a frame is long", bytes(0xff, 0x7f, deepFields(10_000)), 3501],
  ["an empty channel", commands({ id: 99, subscribe: {} }) as Uint8Array, 3501],
  [
    "bytes where a service reads JSON",
    commands({ id: 99, rpc: { method: "m", data: bytes(255) } }) as Uint8Array,
    107,
  ],
];

/**
 * Frames that RFC 6455 or the limits forbid. Deno breaks the connection without a close frame (1006) where the
 * protocol itself is violated, and takes unmasked frames.
 */
const FRAMES: readonly (readonly [what: string, bytes: Buffer, bun: number, deno?: number])[] = [
  ["64 KiB and a byte", clientFrame("x".repeat(65_537), OPCODE.text), 1009],
  [
    "fragments longer than that together",
    Buffer.concat([
      clientFrame("x".repeat(40_000), OPCODE.text, false),
      clientFrame("x".repeat(40_000), OPCODE.continuation),
    ]),
    1009,
  ],
  ["a length of 2^62", Buffer.from([0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), 1009, 1006],
  ["a negative length", Buffer.from([0x81, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), 1009, 1006],
  ["bytes on a JSON connection", clientFrame(Buffer.from(history), OPCODE.binary), 3501],
  ["text that is not UTF-8", clientFrame(Buffer.from([0xc3, 0x28]), OPCODE.text), 1007, 1006],
  ["half of a surrogate pair", clientFrame(Buffer.from([0xed, 0xa0, 0x80]), OPCODE.text), 1007, 1006],
  ["an unmasked frame", Buffer.from([0x81, 2, 0x7b, 0x7d]), 1002, 3501],
  ["a reserved bit, as if compressed", Buffer.from([0xc1, 0x80, 0, 0, 0, 0]), 1002, 1006],
  ["an unknown opcode", clientFrame("x", 3), 1002, 1006],
  ["a continuation of nothing", clientFrame("x", OPCODE.continuation), 1002, 1006],
  ["a ping in fragments", clientFrame("x", OPCODE.ping, false), 1002, 1006],
  ["a ping of 126 bytes", clientFrame("x".repeat(126), OPCODE.ping), 1002, 1006],
  [
    "a message within a message",
    Buffer.concat([clientFrame("x", OPCODE.text, false), clientFrame("x", OPCODE.text)]),
    1002,
    1006,
  ],
  ["a close of one byte", clientFrame("x", OPCODE.close), 1002, 1006],
  ["a close that names a forbidden code", clientFrame(Buffer.from([0x03, 0xed]), OPCODE.close), 1002],
];

for (const runtime of ["bun", "deno"] as const) {
  describe(`frames on ${runtime}`, () => {
    let instance: TestInstance;
    beforeAll(async () => {
      const config = { ...LOUD, limits: { connectDeadline: "1s", frame: "64KiB" } };
      instance = await startInstance({ runtime, config });
    }, 60_000);
    afterAll(async () => {
      await using ended = instance;
      await unharmed(ended);
    });

    for (const [what, frame, gets] of COMMANDS) {
      test(`${what} gets ${gets}`, async () => {
        using client = await member(instance);
        client.send(frame);
        expect(await verdict(client, 99)).toBe(gets);
      });
    }

    for (const [what, frame, gets] of PROTOBUF) {
      test(`in Protobuf, ${what} gets ${gets}`, async () => {
        using client = await protobufMember(instance);
        client.send(frame);
        expect(await verdict(client, 99)).toBe(gets);
      });
    }

    test("random bytes in Protobuf never harm anybody", async () => {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (junk) => {
          using client = await protobufMember(instance);
          client.send(bytes(junk, asked));
          expect([103, 3501]).toContain(Number(await verdict(client, 99)));
        }),
        { numRuns: 50 },
      );
    });

    for (const [what, bytes, bun, deno = bun] of FRAMES) {
      test(`${what} gets ${runtime === "bun" ? bun : deno}`, async () => {
        using client = await member(instance);
        client.write(bytes);
        expect(await closeCode(client)).toBe(runtime === "bun" ? bun : deno);
        // Deno cannot cut a connection: it stays until the peer has answered the close frame, or gone.
        if (runtime === "bun") await until(() => client.ended, { what: "the connection to end" });
      });
    }

    test("more commands at once than the burst are refused, many more end the connection", async () => {
      using client = await member(instance);
      const commands = Array.from({ length: 700 }, (_, n) =>
        command(n + 2, "subscribe", { channel: "nowhere:x" }),
      );
      client.send(commands.join("\n"));
      expect(await closeCode(client)).toBe(3013);
      const answers = said(client).filter(({ id }) => id !== undefined && id > 1);
      const refused = answers.filter(({ error }) => error?.code === 111).length;
      // A burst of twice the rate (the connect was one of it), then as many refusals as the rate; time adds a few.
      expect(answers.length - refused).toBeWithin(199, 215);
      expect(refused).toBeWithin(90, 101);
    });

    test("commands before connect get 3501, and a failed connect is the last word", async () => {
      for (const early of [history, "{}", '{"send":{"data":1}}', command(99, "rpc", { method: "x" })]) {
        using client = await stranger(instance);
        client.send(early);
        expect([early, await verdict(client, 99)]).toEqual([early, 3501]);
      }
      using expired = await stranger(instance);
      const token = connectionToken({ user: "late", exp: 1 });
      expired.send(`${command(1, "connect", { token })}\n${history}`);
      expect((await answerTo(expired, 1)).error?.code).toBe(109);
      expired.send(history);
      expect(await verdict(expired, 99)).toBe(3501);
    });

    test("a second connect while the first is under way gets 3501", async () => {
      using client = await stranger(instance);
      const connect = command(1, "connect", { token: connectionToken({ user: "twice" }) });
      client.send(`${connect}\n${connect.replace("1", "99")}`);
      expect(await verdict(client, 99)).toBe(3501);
    });

    test("a connection that never connects gets 3502 after the deadline", async () => {
      using silent = await stranger(instance);
      using pinging = await stranger(instance);
      const drip = setInterval(() => pinging.write(clientFrame("", OPCODE.ping)), 50);
      expect(await Promise.all([closeCode(silent), closeCode(pinging)])).toEqual([3502, 3502]);
      clearInterval(drip);
      if (runtime === "bun") {
        await until(() => silent.ended && pinging.ended, { what: "both connections to end" });
      }
    });

    test("a message in fragments of one byte is a message", async () => {
      using client = await member(instance);
      const bytes = Buffer.from(command(99, "history", { channel: "chat:größe" }));
      for (let at = 0; at < bytes.length; at++) {
        const opcode = at === 0 ? OPCODE.text : OPCODE.continuation;
        client.write(clientFrame(bytes.subarray(at, at + 1), opcode, at === bytes.length - 1));
      }
      expect(await verdict(client, 99)).toBe(103);
    });

    test("bodies nested too deep are refused, whoever was to read them", async () => {
      using client = await member(instance);
      const deep = nested(30_000);
      client.send(command(2, "subscribe", { channel: "chat:frames" }));
      client.send(`{"id":99,"publish":{"channel":"chat:frames","data":${deep}}}`);
      expect(await verdict(client, 99)).toBe(107);
      client.send(`{"id":98,"rpc":{"method":"nobody.home","data":${deep}}}`);
      expect(await verdict(client, 98)).toBe(107);
      const own = `{"channel":"chat:frames","id":"x","data":${deep}}`;
      client.send(`{"id":97,"rpc":{"method":"trunkline.publish","data":${own}}}`);
      expect(await verdict(client, 97)).toBe(107);
      client.send(`{"send":{"data":${deep}}}\n${command(96, "presence_stats", { channel: "chat:frames" })}`);
      expect(await verdict(client, 96)).toBe("ok");
    });

    test("what is malformed is counted", async () => {
      const before = await metric(instance, "trunkline_read_errors_total");
      using client = await member(instance);
      client.send("x");
      await closeCode(client);
      expect(await metric(instance, "trunkline_read_errors_total")).toBe(before + 1);
    });

    test("a message that is announced but never finished costs no memory", async () => {
      const before = await residentBytes(instance);
      const clients: RawWebSocket[] = [];
      for (let n = 0; n < 50; n++) {
        const client = await member(instance);
        clients.push(client);
        client.write(Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4]));
      }
      expect((await residentBytes(instance)) - before).toBeLessThan(30_000_000);
      for (const client of clients) client[Symbol.dispose]();
    });
  });
}
