import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { constants, createDeflateRaw, createInflateRaw, deflateRawSync } from "node:zlib";
import { type Compression, TOO_BIG } from "../../src/runtime/runtime.ts";
import { type Certificates, certificates } from "../helpers/certificates.ts";
import { compressedFrame, OPCODE, type RawWebSocket } from "../helpers/raw-websocket.ts";
import { until } from "../helpers/until.ts";
import { Fixture } from "./runtime.ts";

const MIN_BYTES = 100;
/** Longest frame that the fixture takes. */
const FRAME_BYTES = 65_536;
/** Compresses badly by itself, and well after itself. */
const TEXT = Array.from({ length: 300 }, (_, n) => ((n * 2_654_435_761) >>> 0).toString(36)).join(" ");

const offer = (parameters = "") => ({ "Sec-WebSocket-Extensions": `permessage-deflate${parameters}` });
const agreed = (client: RawWebSocket) => /sec-websocket-extensions: (.*)/i.exec(client.head)?.[1]?.trim();

const deflated = (text: string | Uint8Array) =>
  deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);

/** Reads compressed frames one after the other, with no more than the window that was agreed on. */
class Reader {
  readonly #windowBits: number;
  readonly #forgets: boolean;
  #inflate: ReturnType<typeof createInflateRaw>;

  constructor(client: RawWebSocket) {
    const terms = agreed(client) ?? "";
    this.#windowBits = Number(/server_max_window_bits=(\d+)/.exec(terms)?.[1] ?? 15);
    this.#forgets = terms.includes("server_no_context_takeover");
    this.#inflate = createInflateRaw({ windowBits: this.#windowBits });
  }

  async text(payload: Uint8Array): Promise<string> {
    if (this.#forgets) this.#inflate = createInflateRaw({ windowBits: this.#windowBits });
    const parts: Buffer[] = [];
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const take = (part: Buffer) => parts.push(part);
    this.#inflate.on("data", take).once("error", reject);
    this.#inflate.write(Buffer.concat([payload, Buffer.from([0, 0, 255, 255])]));
    this.#inflate.flush(() => resolve());
    await promise;
    this.#inflate.off("data", take);
    return Buffer.concat(parts).toString();
  }
}

/** What a runtime adapter that compresses must do, seen from the wire. */
export function runtimeCompressionContract(command: readonly string[]): void {
  const terms: readonly Compression[] = [
    { sent: "shared", received: "shared", minBytes: MIN_BYTES },
    { sent: "4KB", received: "shared", minBytes: MIN_BYTES },
    { sent: "32KB", received: "8KB", minBytes: MIN_BYTES },
    { sent: "256KB", received: "32KB", minBytes: MIN_BYTES },
  ];
  for (const compression of terms) {
    describe(`compression: sent ${compression.sent}, received ${compression.received}`, () => {
      let fixture: Fixture;
      beforeAll(async () => {
        fixture = await new Fixture(command, undefined, compression).started();
      });
      afterAll(() => fixture[Symbol.asyncDispose]());

      test("what is long is compressed, within the window the client asks for", async () => {
        for (const asked of [
          "",
          "; client_max_window_bits",
          "; client_no_context_takeover; server_no_context_takeover",
          ...[8, 9, 10, 12, 15].map((bits) => `; server_max_window_bits=${bits}`),
          "; client_max_window_bits=10; server_max_window_bits=11",
        ]) {
          using client = await fixture.open("", offer(asked));
          const reader = new Reader(client);
          client.send("subscribe:deflated");
          for (let n = 0; n < 4; n++) {
            client.send(n % 2 === 0 ? `echo:${n}${TEXT}` : `publish:deflated:${n}${TEXT}`);
            client.send("echo:short");
          }
          await until(() => client.frames.length === 8, { what: "eight frames" });
          for (const [n, frame] of client.frames.entries()) {
            const long = n % 2 === 0;
            // A shared compressor knows no window but the largest: a client that asks for less gets none.
            expect(frame.compressed).toBe(long && agreed(client) !== undefined);
            const text = frame.compressed ? await reader.text(frame.payload) : frame.payload.toString();
            expect(text).toBe(long ? `${n / 2}${TEXT}` : "short");
          }
        }
      });

      test("nobody gets what it did not offer, or is not to have", async () => {
        for (const [query, headers] of [
          ["", {}],
          ["", { "Sec-WebSocket-Extensions": "x-webkit-deflate-frame" }],
          ["", offer("; unheard_of=1")],
          ["?plain", offer()],
        ] as const) {
          using client = await fixture.open(query, headers);
          expect(agreed(client)).toBeUndefined();
          client.send(`echo:${TEXT}`);
          await until(() => client.frames.length === 1, { what: "a frame" });
          expect(client.frames[0]).toMatchObject({ compressed: false });
        }
        using client = await fixture.open("", offer());
        client.send(`worthless:${TEXT}`);
        await until(() => client.frames.length === 1, { what: "a frame" });
        expect(client.frames[0]).toMatchObject({ compressed: false });
      });

      test("reads what clients compress, in one frame, with a last block, and after what was before", async () => {
        using client = await fixture.open("", offer("; client_max_window_bits"));
        const windowBits = Number(/client_max_window_bits=(\d+)/.exec(agreed(client) ?? "")?.[1] ?? 15);
        const forgets = agreed(client)!.includes("client_no_context_takeover");
        expect(forgets).toBe(compression.received === "shared");
        client.write(compressedFrame(deflated("echo:one")));
        client.write(compressedFrame(deflateRawSync("echo:two"))); // as pako and others end it
        client.write(compressedFrame(deflateRawSync(`echo:${"x".repeat(9_000)}`)));
        client.send("echo:plain");
        await until(() => client.frames.length === 4, { what: "four answers" });
        if (forgets) return;
        using other = await fixture.open("", offer("; client_max_window_bits"));
        const deflate = createDeflateRaw({ windowBits });
        for (let n = 0; n < 3; n++) {
          const [part] = await new Promise<Buffer[]>((resolve) => {
            const parts: Buffer[] = [];
            deflate.on("data", (one: Buffer) => parts.push(one));
            deflate.write(`echo:${n}`);
            deflate.flush(constants.Z_SYNC_FLUSH, () => resolve([Buffer.concat(parts)]));
          });
          deflate.removeAllListeners("data");
          other.write(compressedFrame(part!.subarray(0, -4)));
          expect((await other.take(OPCODE.text)).toString()).toBe(String(n));
        }
      });

      test("a bomb ends at the longest frame, and takes no memory", async () => {
        using watcher = await fixture.open();
        const resident = async () => {
          watcher.send("resident");
          return Number(await watcher.take(OPCODE.text));
        };
        // What a frame may hold inflates to 64 MB.
        const bomb = deflated(Buffer.alloc(64 * 1_048_576)).subarray(0, FRAME_BYTES - 100);
        const before = await resident();
        for (let n = 0; n < 8; n++) {
          using client = await fixture.open("", offer());
          client.write(compressedFrame(bomb));
          expect((await client.take(OPCODE.close)).readUInt16BE(0)).toBe(1009);
          expect(await fixture.line("closed", client.id)).toMatchObject({ code: 1006, reason: TOO_BIG });
        }
        expect((await resident()) - before).toBeLessThan(32 * 1_048_576);
        using client = await fixture.open("", offer());
        client.write(compressedFrame(deflated(`echo:${"y".repeat(FRAME_BYTES - 5)}`)));
        await until(() => client.frames.length === 1, { what: "the longest frame there may be" });
      });

      test("what is no deflate at all ends the connection", async () => {
        using client = await fixture.open("", offer());
        client.write(compressedFrame(Buffer.from([255, 255, 255, 255, 1, 2, 3])));
        expect(await fixture.line("closed", client.id)).toMatchObject({ code: 1006 });
      });
    });
  }

  test("compresses within TLS, too, and a reader that stops is closed", async () => {
    await using made: Certificates = await certificates();
    const tls = made.server.cert.replace(/\.pem$/, "");
    await using fixture = await new Fixture(command, tls, terms[0]).started();
    using client = await fixture.open("", offer());
    client.send(`echo:${TEXT}`);
    await until(() => client.frames.length === 1, { what: "a frame" });
    expect(client.frames[0]).toMatchObject({ compressed: true });
    using slow = await fixture.open("");
    slow.send("subscribe:flood");
    slow.send("echo:ready");
    await slow.take(OPCODE.text);
    slow.pause();
    using other = await fixture.open();
    other.send("flood:flood:3000");
    expect(await fixture.line("closed", slow.id)).toMatchObject({ code: 1006 });
  }, 20_000);
}
