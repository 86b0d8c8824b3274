import { expect } from "bun:test";
import { connect } from "node:net";
import { receives, testClient } from "./clients.ts";
import type { TestInstance } from "./instances.ts";
import { OPCODE, RawWebSocket } from "./raw-websocket.ts";
import { STOCK_CODECS } from "./stock-codec.ts";
import { connectionToken } from "./tokens.ts";
import { until } from "./until.ts";

/** What bad clients do, and how to see that an instance bore it. */

/** Settings of instances under attack: everything they say is heard, so that nothing secret may be said. */
export const LOUD = { log: { level: "debug" } } as const;

/** A raw client that has not said who it is. */
export const stranger = (
  instance: Pick<TestInstance, "websocket">,
  headers: Record<string, string | undefined> = {},
) => RawWebSocket.open(instance.websocket, headers);

/** A raw client that is connected as `user`, or with a token of the test's own. */
export async function member(
  instance: Pick<TestInstance, "websocket">,
  user = "mallory",
  token = connectionToken({ user }),
): Promise<RawWebSocket> {
  const client = await stranger(instance);
  client.send(JSON.stringify({ id: 1, connect: { token } }));
  await answerTo(client, 1);
  return client;
}

/** As {@link member}, in Protobuf. */
export async function protobufMember(instance: TestInstance, user = "mallory"): Promise<RawWebSocket> {
  const client = await stranger(instance, { "Sec-WebSocket-Protocol": "centrifuge-protobuf" });
  const connect = { token: connectionToken({ user }) };
  client.send(STOCK_CODECS["centrifuge-protobuf"].commands({ id: 1, connect }));
  await answerTo(client, 1);
  return client;
}

export interface Answer {
  readonly id?: number;
  readonly error?: { readonly code: number; readonly message: string };
  readonly [method: string]: unknown;
}

/** Everything the server has said so far, frames taken apart: texts are JSON, bytes Protobuf. */
export function said(client: RawWebSocket): Answer[] {
  return client.frames.flatMap(({ opcode, payload }) => {
    if (opcode === OPCODE.text) return STOCK_CODECS["centrifuge-json"].replies(payload.toString());
    if (opcode === OPCODE.binary) return STOCK_CODECS["centrifuge-protobuf"].replies(payload);
    return [];
  });
}

/** The answer to command `id`. */
export function answerTo(client: RawWebSocket, id: number, timeoutMs = 5_000): Promise<Answer> {
  return until(() => said(client).find((answer) => answer.id === id), {
    timeoutMs,
    what: `an answer to command ${id}`,
  });
}

/** The code the server closes with; 1006 when the connection ends without a close frame. */
export async function closeCode(client: RawWebSocket, timeoutMs = 5_000): Promise<number> {
  const close = () => client.frames.find(({ opcode }) => opcode === OPCODE.close);
  await until(() => close() ?? client.ended, { timeoutMs, what: "the server to close" });
  return close()?.payload.readUInt16BE(0) ?? 1006;
}

/** What one bad command comes to: "ok", the code of its error, or the code the connection is closed with. */
export async function verdict(client: RawWebSocket, id: number, timeoutMs = 5_000): Promise<number | "ok"> {
  const own = () => said(client).find((answer) => answer.id === id);
  const over = () => client.ended || client.frames.some(({ opcode }) => opcode === OPCODE.close);
  await until(() => own() !== undefined || over(), { timeoutMs, what: `an answer to command ${id}` });
  const answer = own();
  return answer ? (answer.error?.code ?? "ok") : await closeCode(client);
}

/** One value of `/metrics`, labels included in the name. */
export async function metric(instance: TestInstance, name: string): Promise<number> {
  const text = await (await fetch(`${instance.url}/metrics`)).text();
  const lines = text.split("\n").filter((one) => one.startsWith(`${name} `) || one.startsWith(`${name}{`));
  const values = lines.map((one) => Number(one.slice(one.lastIndexOf(" ") + 1)));
  return values.length === 0 ? Number.NaN : values.reduce((all, one) => all + one);
}

/** Resident memory of an instance's process, bytes. */
export async function residentBytes(instance: TestInstance): Promise<number> {
  const status = await Bun.file(`/proc/${instance.pid}/status`).text();
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

let rounds = 0;

/**
 * The instance works as if nothing had happened: an honest client connects, publishes and receives, health is good,
 * and the log has neither an error (what a client does wrong is none) nor anything that is no log line, such as a
 * stack trace, nor one of `secrets`.
 */
export async function unharmed(instance: TestInstance, secrets: readonly string[] = []): Promise<void> {
  const channel = `chat:unharmed-${rounds++}`;
  using honest = testClient(instance.websocket, { user: "honest" });
  await honest.connected();
  const sub = await honest.subscribe(channel);
  await honest.centrifuge.publish(channel, { still: "here" });
  await receives(sub, 1);
  expect((await fetch(`${instance.url}/healthz`)).status).toBe(200);
  expect(instance.lines.filter(({ level }) => level === "error")).toEqual([]);
  expect(instance.output.filter((line) => !line.startsWith("{"))).toEqual([]);
  for (const secret of secrets) {
    expect(instance.output.filter((line) => line.includes(secret))).toEqual([]);
  }
}

/**
 * Sends bytes over a TCP connection of their own and returns everything that came back until the server hung up, or
 * `undefined` when it did not. With `trickleMs` one more byte follows each time that many ms have passed.
 */
export async function exchange(
  instance: TestInstance,
  bytes: string,
  timeoutMs = 5_000,
  trickleMs?: number,
): Promise<string | undefined> {
  const { hostname, port } = new URL(instance.url);
  const socket = connect(Number(port), hostname);
  let answer = "";
  let ended = false;
  socket.on("data", (chunk: Buffer) => {
    answer += chunk.toString("latin1");
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    ended = true;
  });
  socket.write(Buffer.from(bytes, "latin1"));
  const trickle = trickleMs === undefined ? undefined : setInterval(() => socket.write("x"), trickleMs);
  try {
    await until(() => ended, { timeoutMs });
    return answer;
  } catch {
    return undefined;
  } finally {
    clearInterval(trickle);
    socket.destroy();
  }
}
