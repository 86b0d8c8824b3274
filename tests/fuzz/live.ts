import { connect } from "node:net";
import { testClient } from "../helpers/clients.ts";
import { residentBytes, unharmed } from "../helpers/hostile.ts";
import { type RuntimeName, startInstance, type TestInstance } from "../helpers/instances.ts";
import { clientFrame, OPCODE } from "../helpers/raw-websocket.ts";
import { until } from "../helpers/until.ts";
import { type Below, type Corpus, mutated, random } from "./inputs.ts";

/**
 * Sends malformed frames, and requests that are none, to instances of both runtimes, while an honest client goes on:
 * npm run fuzz:live -- FRAMES SEED RUNTIME (100,000, a random one, and both in turn). Ends with 1 when an instance ends, logs an error, keeps
 * memory, or keeps the honest client waiting.
 */

const AT_ONCE = 32;
/** Frames written at a time; what comes behind the one that ends the connection is not read. */
const BURST = 4;
const MOST_GROWN_BYTES = 150e6;
const PATIENCE_MS = 5_000;

const UNLIMITED = {
  ...{ connectsPerIpPerSecond: 0, requestsPerIpPerSecond: 0, connectionsPerIp: 0, commandsPerSecond: 0 },
  ...{ commandsPerUserPerSecond: 0, publishesPerUserPerSecond: 0, newChannelsPerUserPerMinute: 0 },
};
const KEY = "fuzzed-key";

/** Where frames go, and how they are framed. */
const DOORS: readonly { path: string; protocol?: string; opcode: number; corpus: Corpus }[] = [
  { path: "/connection/websocket", opcode: OPCODE.text, corpus: "frames" },
  { path: "/connection/websocket", protocol: "centrifuge-protobuf", opcode: OPCODE.binary, corpus: "frames" },
  { path: `/app/${KEY}?protocol=7`, opcode: OPCODE.text, corpus: "frames" },
];

interface Counts {
  frames: number;
  connections: number;
  requests: number;
  /** Connections by what ended them. */
  readonly ends: Map<string, number>;
}

/** One connection: frames until it ends. */
function attack(instance: TestInstance, next: Below, counts: Counts, most: number): Promise<void> {
  const { hostname, port } = new URL(instance.url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  const { promise, resolve } = Promise.withResolvers<void>();
  const over = (how: string) => {
    counts.ends.set(how, (counts.ends.get(how) ?? 0) + 1);
    socket.destroy();
    resolve();
  };
  const silence = setTimeout(() => over("silence"), PATIENCE_MS);
  let closed = "cut";
  socket.on("close", () => {
    clearTimeout(silence);
    over(closed);
  });
  if (next(20) === 0) {
    counts.requests++;
    socket.end(mutated(next, "http"));
    socket.resume();
    return promise;
  }
  counts.connections++;
  const { path, protocol, opcode, corpus } = DOORS[next(DOORS.length)]!;
  const burst = () => {
    const frames = Array.from({ length: BURST }, () => frameOf(next, opcode, corpus));
    counts.frames += frames.length;
    socket.write(Buffer.concat(frames));
  };
  let sent = 0;
  let head = "";
  socket.on("data", (chunk: Buffer) => {
    if (head !== "done") {
      head += chunk.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      head = "done";
      burst();
      return;
    }
    const code = closeCode(chunk);
    if (code !== undefined) {
      closed = code;
      socket.end();
    } else if (sent++ < most) burst();
    else socket.end();
  });
  const offered = protocol === undefined ? "" : `Sec-WebSocket-Protocol: ${protocol}\r\n`;
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n${offered}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  );
  return promise;
}

/** Most are whole frames with odd content; some are odd frames. */
function frameOf(next: Below, opcode: number, corpus: Corpus): Buffer {
  const frame = clientFrame(mutated(next, corpus), next(50) === 0 ? next(16) : opcode, next(50) > 0);
  if (next(50) === 0) frame[next(Math.min(14, frame.length))] = next(256);
  return frame;
}

/** The code of a close frame that a chunk ends with. */
function closeCode(chunk: Buffer): string | undefined {
  for (let at = 0; at + 2 <= chunk.length; ) {
    const short = chunk[at + 1]! & 0x7f;
    const length = short < 126 ? short : short === 126 ? chunk.readUInt16BE(at + 2) : chunk.length;
    const body = at + (short < 126 ? 2 : 4);
    if (chunk[at] === 0x88) return length < 2 ? "1005" : String(chunk.readUInt16BE(body));
    at = body + length;
  }
  return undefined;
}

/** An honest client that talks to itself all the time. */
async function bystander(instance: TestInstance) {
  const client = testClient(instance.websocket, { user: "honest" });
  await client.connected();
  const sub = await client.subscribe("chat:honest");
  const waits: number[] = [];
  let running = true;
  let lost = 0;
  const talk = (async () => {
    for (let n = 1; running; n++) {
      const began = performance.now();
      try {
        await client.centrifuge.ready(60_000);
        await client.centrifuge.publish("chat:honest", n);
        await until(() => sub.data().at(-1) === n);
        waits.push(performance.now() - began);
      } catch {
        lost++; // on a machine that has too much to do
      }
      await Bun.sleep(20);
    }
  })();
  return {
    async end() {
      running = false;
      await talk;
      client[Symbol.dispose]();
      return { waits: waits.sort((one, other) => one - other), lost };
    },
  };
}

async function run(runtime: RuntimeName, frames: number, seed: number): Promise<string> {
  await using instance = await startInstance({
    runtime,
    config: {
      limits: UNLIMITED,
      apps: [{ id: "fuzzed", keys: [{ key: KEY, secret: "fuzzed-secret-of-tests" }], namespace: "chat" }],
    },
  });
  const next = random(seed);
  const counts: Counts = { frames: 0, connections: 0, requests: 0, ends: new Map() };
  const storm = async (until: number) => {
    const one = async () => {
      while (counts.frames < until) await attack(instance, next, counts, 20);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
  };
  await storm(Math.min(20_000, frames / 5)); // warm: what the runtime keeps, it has by now
  const before = await residentBytes(instance);
  const honest = await bystander(instance);
  const began = performance.now();
  await storm(frames);
  const seconds = (performance.now() - began) / 1_000;
  const { waits, lost } = await honest.end();
  const p99 = waits[Math.floor(waits.length * 0.99)] ?? 0;
  await unharmed(instance);
  await Bun.sleep(2_000);
  const grown = (await residentBytes(instance)) - before;
  const ends = [...counts.ends].sort(([, one], [, other]) => other - one).map(([how, n]) => `${how} ${n}`);
  const line =
    `${runtime}: ${counts.frames} frames on ${counts.connections} connections, ${counts.requests} requests, ` +
    `${seconds.toFixed(0)} s, seed ${seed}; memory ${(grown / 1e6).toFixed(0)} MB more; an honest client's message p50 ` +
    `${waits[waits.length >> 1]?.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ${lost} of ${waits.length + lost} lost; ends: ${ends.join(", ")}`;
  if (grown > MOST_GROWN_BYTES) throw new Error(`memory grows. ${line}`);
  return line;
}

const [frames = 100_000, seed = Date.now() % 1e6] = process.argv.slice(2, 4).map(Number);
const [, , , , only] = process.argv;
for (const runtime of ["bun", "deno"] as const) {
  if (only === undefined || only === runtime) console.log(await run(runtime, frames, seed));
}
process.exit(0);
