import { describe, expect, test } from "bun:test";
import { closeCode } from "../helpers/hostile.ts";
import { OPCODE, RawWebSocket } from "../helpers/raw-websocket.ts";
import { until } from "../helpers/until.ts";
import type { PusherContext } from "./pusher-context.ts";

const QUERY = "protocol=7&client=js&version=8.6.0&flash=false";

/** Opening, closing, and what no SDK sends. */
export function pusherConnectionTests({ world, client, fresh }: PusherContext): void {
  const open = (path: string, headers: Record<string, string> = {}) =>
    RawWebSocket.open(`${world().a.url.replace("http", "ws")}${path}`, headers);

  const said = (socket: RawWebSocket) =>
    socket.frames
      .filter(({ opcode }) => opcode === OPCODE.text)
      .map(
        ({ payload }) => JSON.parse(payload.toString()) as { event: string; data: unknown; channel?: string },
      );

  const heard = (socket: RawWebSocket, event: string) =>
    until(() => said(socket).find((one) => one.event === event), { what: event });

  describe("connections", () => {
    test("begin with the handshake of the protocol, also behind a prefix", async () => {
      const keys = ["shop-key", "app", "app-key", "apples", "_-0app"];
      const prefixes = ["", "/ws", "/app", "/some/long/prefix", "/apps/1/channels"];
      for (const path of keys.flatMap((key) => prefixes.map((prefix) => `${prefix}/app/${key}`))) {
        using socket = await open(`${path}?${QUERY}`);
        const { data } = await heard(socket, "pusher:connection_established");
        const { socket_id, activity_timeout } = JSON.parse(data as string);
        expect(socket_id).toMatch(/^\d+\.\d+$/);
        expect(activity_timeout).toBeGreaterThan(0);
      }
    });

    test.each([
      ["an unknown key", "/app/nobody", QUERY, 4001],
      ["no protocol", "/app/shop-key", "client=js", 4008],
      ["a protocol of the future", "/app/shop-key", "protocol=99", 4007],
      ["a bad version", "/app/shop-key", "protocol=7&version=%3Cx%3E", 4006],
      ["a disabled app", "/app/closed-key", QUERY, 4003],
      ["no key", "/app/", QUERY, 4005],
    ])("with %s are closed with %p", async (_what, path, query, code) => {
      using socket = await open(`${path}?${query}`);
      expect(await closeCode(socket)).toBe(code);
      // The one event whose data is an object: whoever waits for `data.code` is not told by a text.
      expect((await heard(socket, "pusher:error")).data).toEqual({ code, message: expect.any(String) });
    });

    test("of a foreign page are closed with 4009", async () => {
      using socket = await open(`/app/shop-key?${QUERY}`, { Origin: "https://evil.example" });
      expect(await closeCode(socket)).toBe(4009);
    });

    test("a stock client that is refused does not come back", async () => {
      using one = client({ key: "nobody" });
      await until(() => one.states.includes("disconnected"), { what: "a refusal" });
      expect(JSON.stringify(one.errors)).toContain("4001");
    });

    test("lives on when its WebSocket answers pings and nobody knows the event", async () => {
      using socket = await open(`/app/shop-key?${QUERY}`);
      await heard(socket, "pusher:connection_established");
      for (let round = 0; round < 3; round++) {
        await socket.take(OPCODE.ping);
        socket.send("", OPCODE.pong);
      }
      expect(socket.frames.filter(({ opcode }) => opcode === OPCODE.close)).toEqual([]);
      expect(socket.ended).toBe(false);
    });

    test("that answers nothing is closed with 4201", async () => {
      using socket = await open(`/app/shop-key?${QUERY}`);
      expect(await closeCode(socket)).toBe(4201);
    });

    test("a ping is answered", async () => {
      using socket = await open(`/app/shop-key?${QUERY}`);
      await heard(socket, "pusher:connection_established");
      socket.send('{"event":"pusher:ping","data":{}}');
      expect((await heard(socket, "pusher:pong")).data).toBe("{}");
      socket.send('{"event":"pusher:pong","data":{}}');
      socket.send('{"event":"pusher:ping"}');
      await until(() => said(socket).filter(({ event }) => event === "pusher:pong").length === 2);
    });

    const nested = "[".repeat(5000) + "]".repeat(5000);
    test.each([
      ["no JSON", "hello"],
      ["no object", "[]"],
      ["null", "null"],
      ["nothing", ""],
      ["no event", '{"data":{}}'],
      ["an event that is a number", '{"event":7}'],
      ["a channel that is an object", '{"event":"client-x","channel":{}}'],
      ["too deep", `{"event":"client-x","channel":"private-x","data":${nested}}`],
    ])("a frame with %s ends the connection for good", async (_what, frame) => {
      using socket = await open(`/app/shop-key?${QUERY}`);
      await heard(socket, "pusher:connection_established");
      socket.send(frame);
      expect(await closeCode(socket)).toBe(4010);
    });

    test.each([
      ["a subscribe without a channel", { event: "pusher:subscribe", data: {} }, "pusher:subscription_error"],
      [
        "a subscribe whose data is a list",
        { event: "pusher:subscribe", data: [1] },
        "pusher:subscription_error",
      ],
      [
        "a malformed name",
        { event: "pusher:subscribe", data: { channel: "a b" } },
        "pusher:subscription_error",
      ],
      [
        "a channel of another namespace",
        { event: "pusher:subscribe", data: { channel: "chat:x" } },
        "pusher:subscription_error",
      ],
      [
        "another user's channel",
        { event: "pusher:subscribe", data: { channel: "#server-to-user-1", auth: "" } },
        "pusher:subscription_error",
      ],
      [
        "auth that is no text",
        { event: "pusher:subscribe", data: { channel: "private-x", auth: 7 } },
        "pusher:subscription_error",
      ],
      ["a signin without anything", { event: "pusher:signin", data: null }, "pusher:error"],
      ["an event no client may send", { event: "message", channel: "x", data: 1 }, "pusher:error"],
      ["an event of a prototype", { event: "__proto__", data: {} }, "pusher:error"],
      [
        "a client event before a subscribe",
        { event: "client-x", channel: "private-x", data: 1 },
        "pusher:error",
      ],
    ])("%s is answered with an error, and the connection lives on", async (_what, message, answer) => {
      using socket = await open(`/app/shop-key?${QUERY}`);
      await heard(socket, "pusher:connection_established");
      socket.send(JSON.stringify(message));
      await heard(socket, answer);
      socket.send('{"event":"pusher:ping","data":"{}"}');
      await heard(socket, "pusher:pong");
    });

    test("data may be a string that holds JSON", async () => {
      using socket = await open(`/app/shop-key?${QUERY}`);
      await heard(socket, "pusher:connection_established");
      const channel = fresh("room-");
      socket.send(JSON.stringify({ event: "pusher:subscribe", data: JSON.stringify({ channel }) }));
      expect((await heard(socket, "pusher_internal:subscription_succeeded")).channel).toBe(channel);
    });
  });
}
