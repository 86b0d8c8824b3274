import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Certificates, certificates } from "../helpers/certificates.ts";
import { OPCODE } from "../helpers/raw-websocket.ts";
import { until } from "../helpers/until.ts";
import { Fixture } from "./runtime.ts";

const V1 = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";
const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const V2 = Buffer.concat([
  SIGNATURE,
  Buffer.from([0x21, 0x21, 0, 36 + 7, 0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 9, ...Array(16).fill(0)]),
  Buffer.from([0x12, 0x67, 1, 0xbb, 4, 0, 4, 1, 2, 3, 4]),
]);
const LOCAL = Buffer.concat([SIGNATURE, Buffer.from([0x20, 0, 0, 0])]);
const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/** A TCP connection, and what came over it. */
class Raw implements Disposable {
  text = "";
  ended = false;
  readonly socket: Socket;

  constructor(port: number, localAddress = "127.0.0.1") {
    this.socket = connect({ port, host: "127.0.0.1", localAddress });
    this.socket.on("data", (chunk) => {
      this.text += chunk.toString("latin1");
    });
    this.socket.on("close", () => {
      this.ended = true;
    });
    this.socket.on("error", () => {});
  }

  answer(what: string): Promise<unknown> {
    return until(() => this.text.includes(what), { what: `"${what}" in ${JSON.stringify(this.text)}` });
  }

  end(): Promise<unknown> {
    return until(() => this.ended, { what: "the end of the connection" });
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Ports of IPv4 that a process listens on. */
function listening(pid: number): number[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return /socket:\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      } catch {
        return undefined;
      }
    }),
  );
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === "0A" && inodes.has(fields[9]))
    .map((fields) => Number.parseInt(fields[1]!.split(":")[1]!, 16));
}

/** What a runtime adapter must do where every connection begins with a header of the PROXY protocol. */
export function runtimeProxyContract(name: "bun" | "deno", command: readonly string[]): void {
  describe(`PROXY protocol on ${name}`, () => {
    let fixture: Fixture;
    let port: number;
    beforeAll(async () => {
      fixture = await new Fixture(command, undefined, undefined, true).started();
      port = Number(new URL(fixture.url).port);
    });
    afterAll(() => fixture[Symbol.asyncDispose]());

    test.each([
      ["version 1", V1, "192.0.2.7"],
      ["version 2", V2, "2001:db8"],
      ["a health check", LOCAL, "127.0.0.1"],
      ["version 1, unknown", "PROXY UNKNOWN\r\n", "127.0.0.1"],
    ] as const)("tells the client's address: %s, also of the second request", async (_, header, address) => {
      using raw = new Raw(port);
      raw.socket.write(Buffer.concat([Buffer.from(header as string), Buffer.from(GET)]));
      await raw.answer(address);
      raw.text = "";
      raw.socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n");
      raw.socket.write("x".repeat(9_000));
      await raw.answer("9000");
      raw.text = "";
      raw.socket.write(GET);
      await raw.answer(address);
    });

    test("reads a header that comes byte by byte", async () => {
      for (const header of [Buffer.from(V1), V2]) {
        using raw = new Raw(port);
        raw.socket.setNoDelay(true);
        for (const byte of header) {
          raw.socket.write(Buffer.from([byte]));
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        raw.socket.write(GET);
        await raw.answer("426");
      }
    });

    test("carries WebSockets both ways, what is long and what is published", async () => {
      using one = await fixture.open("", {}, V1);
      using two = await fixture.open("", {}, V1);
      for (const client of [one, two]) {
        client.send("subscribe:proxied");
        client.send("echo:ready");
        await client.take(OPCODE.text);
      }
      one.send("publish:proxied:to all");
      for (const client of [one, two]) expect((await client.take(OPCODE.text)).toString()).toBe("to all");
      for (let n = 0; n < 40; n++) {
        one.send(`echo:${n}${"y".repeat(60_000)}`);
        expect((await one.take(OPCODE.text)).toString()).toBe(`${n}${"y".repeat(60_000)}`);
      }
      two.pause();
      two.send("long:12000000");
      await fixture.line("queued", two.id);
      two.resume();
      expect((await two.take(OPCODE.text)).length).toBe(12_000_000);
      one.send("close:4001:bye");
      expect((await one.take(OPCODE.close)).readUInt16BE(0)).toBe(4001);
      one.send(Buffer.from([0x0f, 0xa1]), OPCODE.close);
      await until(() => one.ended, { what: "the end of the connection" });
      two[Symbol.dispose]();
      expect(await fixture.line("closed", two.id)).toMatchObject({ code: 1006 });
    });

    test("a reader that stops is closed, and its connection goes", async () => {
      using slow = await fixture.open("", {}, V1);
      slow.send("subscribe:flood");
      slow.send("echo:ready");
      await slow.take(OPCODE.text);
      slow.pause();
      using other = await fixture.open("", {}, V1);
      other.send("flood:flood:3000");
      expect(await fixture.line("closed", slow.id)).toMatchObject({ code: 1006 });
    }, 20_000);

    test.each([
      ["no header", GET],
      ["a malformed one", "PROXY TCP4 192.0.2.7 oh\r\n"],
      ["one that never ends", "PROXY TCP4 ".padEnd(200, "1")],
      ["a binary one that is too long", Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 255, 255])])],
    ] as const)("turns away %s, without a word", async (_, bytes) => {
      using raw = new Raw(port);
      raw.socket.write(Buffer.concat([Buffer.from(bytes as string), Buffer.from(GET)]));
      await raw.end();
      expect(raw.text).toBe("");
      await until(() => fixture.lines.some(({ why }) => why === "no header of the PROXY protocol"), {
        what: "a line",
      });
    });

    test("turns away a header that is late, and who is no proxy", async () => {
      using late = new Raw(port);
      late.socket.write("PROXY ");
      using silent = new Raw(port);
      using stranger = new Raw(port, "127.0.0.2");
      stranger.socket.write(V1 + GET);
      await Promise.all([late.end(), silent.end(), stranger.end()]);
      expect(late.text + silent.text + stranger.text).toBe("");
      await fixture.line("refused");
      expect(fixture.lines.some(({ why }) => String(why).includes("too late"))).toBe(true);
    });

    test("who finds the port behind is not served", async () => {
      const inner = listening(fixture.process.pid).filter((one) => one !== port);
      expect(inner).toHaveLength(1);
      using raw = new Raw(inner[0]!);
      raw.socket.write(GET);
      await raw.answer(" 403 ");
    });
  });

  test(`PROXY protocol and TLS on ${name}`, async () => {
    await using made: Certificates = await certificates();
    const tls = made.server.cert.replace(/\.pem$/, "");
    await using fixture = await new Fixture(command, tls, undefined, true).started();
    using raw = new Raw(Number(new URL(fixture.url).port));
    raw.socket.write(V1);
    const secure = connectTls({ socket: raw.socket, rejectUnauthorized: false }, () => secure.write(GET));
    let text = "";
    secure.on("data", (chunk) => {
      text += chunk.toString("latin1");
    });
    await until(() => text.includes("192.0.2.7"), { what: "the client's address" });
    secure.destroy();
  });

  test(`all ends with the server on ${name}, and nothing is left`, async () => {
    await using fixture = await new Fixture(command, undefined, undefined, true).started();
    using one = await fixture.open("", {}, V1);
    using two = await fixture.open("", {}, V1);
    one.send("end");
    await fixture.line("ended");
    await until(() => one.ended && two.ended, { what: "the ends of both" });
    // Nothing is left that would keep it.
    expect(await fixture.process.exited).toBe(0);
  });
}
