import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { join } from "node:path";
import { type Compression, TOO_BIG } from "../../src/runtime/runtime.ts";
import { OPCODE, RawWebSocket } from "../helpers/raw-websocket.ts";
import { until } from "../helpers/until.ts";

type Line = { readonly event: string; readonly id?: number } & Readonly<Record<string, unknown>>;

const FIXTURE = join(import.meta.dir, "../programs/runtime-fixture.ts");

/** The fixture server as a process, with every line it printed. */
export class Fixture implements AsyncDisposable {
  readonly lines: Line[] = [];
  readonly process: Bun.Subprocess<"ignore", "pipe", "inherit">;

  readonly #secure: boolean;

  /**
   * @param tls it speaks TLS with the files `<tls>.pem` and `<tls>.key`
   * @param compression what is compressed
   * @param proxied connections begin with a header of the PROXY protocol
   */
  constructor(command: readonly string[], tls?: string, compression?: Compression, proxied = false) {
    this.#secure = tls !== undefined;
    const compressed = compression && { FIXTURE_COMPRESSION: JSON.stringify(compression) };
    this.process = Bun.spawn([...command, FIXTURE], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
      env: {
        ...process.env,
        ...(tls && { FIXTURE_TLS: tls }),
        ...compressed,
        ...(proxied && { FIXTURE_PROXY: "yes" }),
      },
    });
    void this.#read();
  }

  get http(): string {
    return `http${this.#secure ? "s" : ""}://127.0.0.1:${this.lines[0]!.port}/`;
  }

  get url(): string {
    return `ws${this.#secure ? "s" : ""}://127.0.0.1:${this.lines[0]!.port}/`;
  }

  async started(): Promise<this> {
    await until(() => this.lines.length > 0, { what: "the fixture to listen" });
    return this;
  }

  async open(
    query = "",
    headers?: Record<string, string>,
    preface?: string,
  ): Promise<RawWebSocket & { id: number }> {
    const client = await RawWebSocket.open(this.url + query, headers, preface);
    const [, id] = (await client.take(OPCODE.text)).toString().split(":");
    return Object.assign(client, { id: Number(id) });
  }

  /** Waits for the first line of this kind about this socket. */
  line(event: string, id?: number): Promise<Line> {
    return until(
      () => this.lines.find((line) => line.event === event && (id === undefined || line.id === id)),
      {
        what: `line "${event}"`,
      },
    );
  }

  count(event: string, id: number): number {
    return this.lines.filter((line) => line.event === event && line.id === id).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const chunk of this.process.stdout.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop()!;
      for (const part of parts) this.lines.push(JSON.parse(part));
    }
  }
}

const closeOf = (payload: Buffer) => ({
  code: payload.readUInt16BE(0),
  reason: payload.subarray(2).toString(),
});

/**
 * What a runtime adapter must do, seen from the wire.
 * @param command starts a TypeScript file on the runtime
 * @param facts where the runtimes differ, and that is known: pings are `heard` only where they are shown
 */
export function runtimeContract(
  name: "bun" | "deno",
  command: readonly string[],
  facts: { readonly showsPings: boolean; readonly refusesConnections: boolean },
): void {
  describe(`runtime port on ${name}`, () => {
    let fixture: Fixture;
    beforeAll(async () => {
      fixture = await new Fixture(command).started();
    });
    afterAll(() => fixture[Symbol.asyncDispose]());

    test("says what it runs on", () => {
      const [line] = fixture.lines;
      expect(line).toMatchObject({ runtime: name, version: expect.stringMatching(/^\d+\.\d+/) });
      expect(line!.descriptors).toBeGreaterThan(100);
      expect(line!.resident).toBeGreaterThan(10_000_000);
    });

    test("echoes text as text and bytes as bytes", async () => {
      using client = await fixture.open();
      client.send("echo:grüße");
      expect((await client.take(OPCODE.text)).toString()).toBe("grüße");
      client.send(new Uint8Array([0, 255, 7]));
      expect([...(await client.take(OPCODE.binary))]).toEqual([0, 255, 7]);
    });

    test("keeps program order between send and publish", async () => {
      using client = await fixture.open();
      client.send("subscribe:order");
      client.send("mix:order:100");
      await until(() => client.texts.length === 100, { what: "100 messages" });
      expect(client.texts.map(Number)).toEqual([...Array(100).keys()]);
    });

    test("publishes to subscribers of the topic and to nobody else", async () => {
      using one = await fixture.open();
      using two = await fixture.open();
      using other = await fixture.open();
      one.send("subscribe:a");
      two.send("subscribe:a");
      two.send("subscribe:b");
      other.send("subscribe:b");
      // Each client's own echo proves that what it asked for before is done.
      for (const client of [one, two, other]) {
        client.send("echo:ready");
        await client.take(OPCODE.text);
      }
      other.send("publish:a:first");
      expect((await one.take(OPCODE.text)).toString()).toBe("first");
      expect((await two.take(OPCODE.text)).toString()).toBe("first");
      two.send("unsubscribe:a");
      two.send("publish:a:second");
      two.send("publish:b:third");
      expect((await one.take(OPCODE.text)).toString()).toBe("second");
      expect((await two.take(OPCODE.text)).toString()).toBe("third");
      expect((await other.take(OPCODE.text)).toString()).toBe("third");
    });

    test("a frame longer than the limit closes with 1009, once", async () => {
      using client = await fixture.open();
      client.send(new Uint8Array(65_536));
      expect((await client.take(OPCODE.binary)).length).toBe(65_536);
      client.send("ü".repeat(32_769));
      expect(closeOf(await client.take(OPCODE.close)).code).toBe(1009);
      expect(await fixture.line("closed", client.id)).toMatchObject({ code: 1006, reason: TOO_BIG });
    });

    test("a reader that stops is closed, and has seen a contiguous prefix only", async () => {
      using slow = await fixture.open();
      using healthy = await fixture.open();
      for (const client of [slow, healthy]) client.send("subscribe:flood");
      slow.send("echo:ready");
      await slow.take(OPCODE.text);
      slow.pause();
      healthy.send("flood:flood:2000");
      await fixture.line("flooded");
      expect(await fixture.line("closed", slow.id)).toMatchObject({ code: 1006 });
      await until(() => healthy.texts.length === 2000, { what: "2000 messages" });
      slow.resume();
      await until(() => slow.ended || slow.frames.some((frame) => frame.opcode === OPCODE.close), {
        what: "the end of the slow connection",
      });
      const seen = slow.texts.map(Number);
      expect(seen.length).toBeLessThan(2000);
      expect(seen).toEqual([...Array(seen.length).keys()]);
      expect(healthy.texts.map(Number)).toEqual([...Array(2000).keys()]);
    }, 20_000);

    test("a long frame to a reader that pauses waits for it, and the end of waiting is told", async () => {
      using client = await fixture.open();
      client.send("echo:ready");
      await client.take(OPCODE.text);
      client.pause();
      client.send("long:12000000");
      await fixture.line("queued", client.id);
      client.resume();
      expect((await client.take(OPCODE.text)).length).toBe(12_000_000);
      await fixture.line("drained", client.id);
      client.send("echo:alive");
      expect((await client.take(OPCODE.text)).toString()).toBe("alive");
    });

    test("close codes travel both ways, and a closed socket takes nothing more", async () => {
      using told = await fixture.open();
      told.send("close:4001:go away");
      expect(closeOf(await told.take(OPCODE.close))).toEqual({ code: 4001, reason: "go away" });
      expect(await fixture.line("closed", told.id)).toMatchObject({ code: 4001, reason: "go away" });
      expect(await fixture.line("sent", told.id)).toMatchObject({ result: 0 });
      expect(told.texts).toEqual([]);

      using telling = await fixture.open();
      telling.send(Buffer.concat([Buffer.from([4444 >> 8, 4444 & 255]), Buffer.from("bye")]), OPCODE.close);
      expect(await fixture.line("closed", telling.id)).toMatchObject({ code: 4444, reason: "bye" });

      const vanished = await fixture.open();
      vanished[Symbol.dispose]();
      expect(await fixture.line("closed", vanished.id)).toMatchObject({ code: 1006 });

      using cut = await fixture.open();
      cut.send("terminate");
      expect(await fixture.line("closed", cut.id)).toMatchObject({ code: 1006 });
      expect(await fixture.line("sent", cut.id)).toMatchObject({ result: 0 });
      await until(() => cut.ended || cut.frames.length > 0, { what: "the end of the connection" });

      using last = await fixture.open();
      last.send("echo:done");
      await last.take(OPCODE.text);
      for (const { id } of [told, telling, vanished, cut]) expect(fixture.count("closed", id)).toBe(1);
    });

    test("closed is called before close and terminate return", async () => {
      using client = await fixture.open();
      client.send("close:4002:x");
      await fixture.line("sent", client.id);
      const order = fixture.lines.filter((line) => line.id === client.id).map((line) => line.event);
      expect(order).toEqual(["opened", "closed", "sent"]);
    });

    test("answers the subprotocol that was chosen", async () => {
      const headers = { "Sec-WebSocket-Protocol": "other, centrifuge-json" };
      using client = await fixture.open("?protocol=centrifuge-json", headers);
      expect(client.head.toLowerCase()).toContain("sec-websocket-protocol: centrifuge-json\r\n");
    });

    test("adds the server's own headers to every upgrade, and to no other answer", async () => {
      using client = await RawWebSocket.open(fixture.url);
      expect(client.head.toLowerCase()).toContain("x-from: fixture");
      expect((await fetch(fixture.http)).headers.get("x-from")).toBeNull();
    });

    test("answers ping frames", async () => {
      using client = await fixture.open();
      client.send("are you there", OPCODE.ping);
      expect((await client.take(OPCODE.pong)).toString()).toBe("are you there");
      client.send("", OPCODE.pong);
      if (facts.showsPings) {
        await until(() => fixture.count("heard", client.id) === 2, { what: "both to be heard" });
      }
    });

    test("sends ping frames, and tells of each answer, whatever it is", async () => {
      using client = await fixture.open();
      let heard = 0;
      for (const answer of [OPCODE.pong, OPCODE.text, OPCODE.pong, OPCODE.pong]) {
        client.send("ping");
        expect((await client.take(OPCODE.ping)).toString()).toBe("");
        client.send("", answer);
        // A message is heard as such; Deno cannot tell them apart and says both.
        if (answer === OPCODE.pong || !facts.showsPings) heard++;
        await until(() => fixture.count("heard", client.id) === heard, { what: "an answer" });
      }
      client.send("echo:still here");
      expect((await client.take(OPCODE.text)).toString()).toBe("still here");
      expect(fixture.count("closed", client.id)).toBe(0);
    });

    test("tells of pongs, and takes no message for one", async () => {
      using client = await fixture.open();
      for (const text of ["echo:a", "echo:b", "echo:c"]) {
        client.send(text);
        expect((await client.take(OPCODE.text)).toString()).toBe(text.slice(5));
        if (text !== "echo:c") client.send("", OPCODE.pong);
      }
      expect(fixture.count("heard", client.id)).toBe(2);
    });

    test("a request that is no valid upgrade gets an answer of its own", async () => {
      const plain = await fetch(fixture.http);
      expect([plain.status, await plain.text()]).toEqual([426, "127.0.0.1"]);
      using keyless = await RawWebSocket.open(fixture.url, { "Sec-WebSocket-Key": undefined });
      expect(keyless.status).toBeOneOf([400, 426]);
    });

    test("a request without a Host header, as of HTTP/1.0, is answered like any other", async () => {
      const { hostname, port } = new URL(fixture.http);
      const answer = await new Promise<string>((resolve, reject) => {
        let text = "";
        const socket = connect(Number(port), hostname, () => socket.write("GET /?x HTTP/1.0\r\n\r\n"));
        socket.on("data", (chunk) => {
          text += String(chunk);
          if (text.includes("127.0.0.1")) resolve(text);
        });
        socket.on("error", reject);
        socket.on("close", () => resolve(text));
      });
      expect(answer).toMatch(/^HTTP\/1\.[01] 426 /);
    });

    test("an error in the application is a 500 without details, a long body a 413", async () => {
      const broken = await fetch(`${fixture.http}broken`);
      expect([broken.status, await broken.text()]).toEqual([500, "internal server error\n"]);
      expect((await fetch(fixture.http, { method: "POST", body: "x".repeat(10_000) })).status).toBe(200);
      expect((await fetch(fixture.http, { method: "POST", body: "x".repeat(10_001) })).status).toBe(413);
    });

    test("stopListening lets open connections go on; close ends them and releases the port", async () => {
      await using own = await new Fixture(command).started();
      using client = await own.open();
      client.send("stop");
      client.send("echo:still here");
      expect((await client.take(OPCODE.text)).toString()).toBe("still here");
      const refused = await fetch(own.http).then(
        (response) => response.status,
        () => "refused",
      );
      expect(refused).toBe(facts.refusesConnections ? "refused" : 503);
      client.send("end");
      expect(closeOf(await client.take(OPCODE.close)).code).toBe(1001);
      await own.line("ended");
      expect(own.lines.map((line) => line.event)).toEqual(["listening", "opened", "closed", "ended"]);
      expect(own.lines[2]).toMatchObject({ code: 1001 });
      expect(await fetch(own.http).catch(() => "refused")).toBe("refused");
    });

    test("signals are heard, and exit ends the process", async () => {
      await using own = await new Fixture(command).started();
      own.process.kill("SIGTERM");
      expect(await own.process.exited).toBe(7);
      await own.line("signal");
    });
  });
}
