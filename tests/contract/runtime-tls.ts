import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect as connectPlain } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { type Certificates, certificates } from "../helpers/certificates.ts";
import { OPCODE } from "../helpers/raw-websocket.ts";
import { until } from "../helpers/until.ts";
import { Fixture } from "./runtime.ts";

/** What a runtime adapter must do when it speaks TLS itself, seen from the wire. */
export function runtimeTlsContract(name: "bun" | "deno", command: readonly string[]): void {
  describe(`TLS on ${name}`, () => {
    let made: Certificates;
    let fixture: Fixture;
    /** Path of the server's files, without their endings; and of another pair of the same CA. */
    let [first, second] = ["", ""];
    beforeAll(async () => {
      made = await certificates();
      first = made.server.cert.replace(/\.pem$/, "");
      second = made.client.cert.replace(/\.pem$/, "");
      fixture = await new Fixture(command, first).started();
    });
    afterAll(async () => {
      await fixture[Symbol.asyncDispose]();
      await made[Symbol.asyncDispose]();
    });

    /** Whose certificate a new connection is shown. */
    const shown = async (server = fixture): Promise<string> => {
      const { port } = new URL(server.url);
      const socket = await new Promise<TLSSocket>((resolve, reject) => {
        const open = connect({ host: "127.0.0.1", port: Number(port), rejectUnauthorized: false }, () =>
          resolve(open),
        );
        open.on("error", reject);
      });
      const { CN } = socket.getPeerCertificate().subject;
      socket.destroy();
      return String(CN);
    };

    test("tells the client's own address, and carries what is long", async () => {
      const ca = await Bun.file(made.ca).text();
      const plain = await fetch(fixture.http, { tls: { ca } });
      expect([plain.status, await plain.text()]).toEqual([426, "127.0.0.1"]);
      using client = await fixture.open();
      client.send("long:12000000");
      expect((await client.take(OPCODE.text)).length).toBe(12_000_000);
      client.send("close:4001:bye");
      expect((await client.take(OPCODE.close)).readUInt16BE(0)).toBe(4001);
    });

    test("who vanishes is told of, and plain HTTP gets no answer", async () => {
      const client = await fixture.open();
      client[Symbol.dispose]();
      expect(await fixture.line("closed", client.id)).toMatchObject({ code: 1006 });
      const { port } = new URL(fixture.url);
      const answer = await new Promise<string>((resolve) => {
        let text = "";
        const socket = connectPlain(Number(port), "127.0.0.1", () =>
          socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        );
        socket.on("data", (chunk) => {
          text += chunk.toString("latin1");
        });
        socket.on("error", () => {});
        socket.on("close", () => resolve(text));
      });
      expect(answer).not.toContain("HTTP/");
    });

    test("a reader that stops is closed", async () => {
      using slow = await fixture.open();
      slow.send("subscribe:flood");
      slow.send("echo:ready");
      await slow.take(OPCODE.text);
      slow.pause();
      using other = await fixture.open();
      other.send("flood:flood:3000");
      await fixture.line("flooded");
      expect(await fixture.line("closed", slow.id)).toMatchObject({ code: 1006 });
    }, 20_000);

    test("a reader that pauses gets what is long when it goes on, and is told of", async () => {
      using client = await fixture.open();
      client.pause();
      client.send("long:12000000");
      await fixture.line("queued", client.id);
      client.resume();
      expect((await client.take(OPCODE.text)).length).toBe(12_000_000);
      await fixture.line("drained", client.id);
      client.send("echo:alive");
      expect((await client.take(OPCODE.text)).toString()).toBe("alive");
    });

    test("who is sent more than fits, and does not read, is closed, too", async () => {
      using client = await fixture.open();
      client.pause();
      client.send("long:12000000");
      await fixture.line("queued", client.id);
      client.send("long:12000000");
      client.send("echo:lost");
      expect(await fixture.line("closed", client.id)).toMatchObject({ code: 1006 });
    });

    test("a new certificate is for new connections; topics reach those of both, and each but the sender", async () => {
      await using own = await new Fixture(command, first).started();
      const old = [await own.open(), await own.open()];
      expect(await shown(own)).toBe("server");
      old[0]!.send(`renew:${second}`);
      await own.line("renewed");
      expect(await shown(own)).toBe("client");
      const all = [...old, await own.open(), await own.open()];
      for (const client of all) {
        client.send("subscribe:a");
        client.send("echo:ready");
        await client.take(OPCODE.text);
      }
      all[0]!.send("publish:a:everybody");
      for (const client of all) expect((await client.take(OPCODE.text)).toString()).toBe("everybody");
      for (const sender of [all[0]!, all[3]!]) {
        sender.send("except:a:others");
        for (const client of all.filter((one) => one !== sender)) {
          expect((await client.take(OPCODE.text)).toString()).toBe("others");
        }
        sender.send("echo:and nothing else");
        expect((await sender.take(OPCODE.text)).toString()).toBe("and nothing else");
      }
      // Of the sender, too, the topic still knows.
      all[1]!.send("except:a:last");
      expect((await all[0]!.take(OPCODE.text)).toString()).toBe("last");
      old[1]![Symbol.dispose]();
      await own.line("closed", old[1]!.id);
      all[2]!.send("end");
      await own.line("ended");
      await until(() => all[0]!.ended || all[0]!.frames.some(({ opcode }) => opcode === OPCODE.close), {
        what: "the end of a connection of the old server",
      });
      for (const client of all) client[Symbol.dispose]();
    }, 20_000);
  });
}
