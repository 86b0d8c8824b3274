/**
 * What compression saves and costs: `npm run bench:compression` prints the tables of docs/compression.md. One instance on Bun
 * for each setting, with so many raw clients in one channel, which count what comes over the wire and inflate nothing.
 */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import process from "node:process";
import { processorMs, residentBytes } from "../src/bench/machine.ts";
import { print } from "../src/cli/output.ts";
import { Children, started } from "../src/process/children.ts";
import { accepts, freePort, LOOPBACK } from "../src/process/ports.ts";
import { aligned } from "./markdown.ts";

const CLIENTS = 1_000;
const MESSAGES = 40;
/** Pause between two messages, ms: nobody's buffer fills. */
const PAUSE_MS = 25;
const CHANNEL = "live:bench";
const KEY = "a-key-of-the-measurement";

/** What is sent: the nth message of a kind. */
const KINDS: Readonly<Record<string, (n: number) => unknown>> = {
  "chat, 0.3 KB": (n) => ({
    id: crypto.randomUUID(),
    user: {
      id: `u${(n * 7919) % 1000}`,
      name: `Participant ${n % 50}`,
      avatar: `https://cdn.example.com/a/${n % 50}.png`,
    },
    text: `message ${n}: see you at the usual place at ${n % 24}:30, bring the others`,
    sentAt: new Date(1_700_000_000_000 + n * 1_234).toISOString(),
  }),
  "scores, 3 KB": (n) =>
    Array.from({ length: 60 }, (_, row) => ({
      id: row,
      name: `Player number ${row}`,
      points: (row * 37 + n * (row % 3)) % 999,
    })),
  "random base64, 4 KB": () => randomBytes(3_000).toString("base64"),
};

interface Figures {
  readonly bytes: number;
  readonly microseconds: number;
  readonly kilobytes: number;
}

/** Clients that count. */
class Crowd {
  bytes = 0;
  readonly #sockets: Socket[] = [];

  /** @param request what each begins with; ready when `answered` is in what came */
  async join(port: number, request: string, then: Buffer | undefined, answered: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const socket = connect(port, LOOPBACK, () => socket.write(request));
      let seen = "";
      this.#sockets.push(socket);
      socket.on("error", reject);
      socket.on("data", (chunk: Buffer) => {
        this.bytes += chunk.length;
        if (seen === answered) return;
        const before = seen.length;
        seen += chunk.toString("latin1");
        if (before === 0 && then) socket.write(then);
        if (!seen.includes(answered)) return;
        seen = answered;
        resolve();
      });
    });
  }

  /** Resolves when nothing has come for a while. */
  async quiet(): Promise<void> {
    for (let before = -1; before !== this.bytes; ) {
      before = this.bytes;
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
  }

  leave(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** A text frame of a client; its mask of zeros leaves the text as it is. */
function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  return Buffer.concat([Buffer.from([0x81, 0xfe, length >> 8, length & 255, 0, 0, 0, 0]), Buffer.from(text)]);
}

const HANDSHAKE =
  "GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
  "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
const COMMANDS = textFrame(
  `${JSON.stringify({ id: 1, connect: {} })}\n${JSON.stringify({ id: 2, subscribe: { channel: CHANNEL } })}`,
);
const ONE_WAY = JSON.stringify({ subs: { [CHANNEL]: {} } });
const STREAM =
  "POST /connection/uni_http_stream HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n" +
  `Content-Length: ${ONE_WAY.length}\r\n\r\n${ONE_WAY}`;

async function measure(
  make: (n: number) => unknown,
  env: Record<string, string>,
  stream: boolean,
): Promise<Figures> {
  const port = await freePort();
  await using children = new Children();
  const instance = children.start({
    args: ["src/main.ts", "serve"],
    role: "server",
    env: {
      ...{ ...process.env, PORT: `${port}`, TRUNKLINE_HOST: LOOPBACK, TRUNKLINE_API_KEYS: KEY },
      ...{ TRUNKLINE_INSECURE: "true", TRUNKLINE_LIMITS_CONNECTIONS_PER_IP: "0" },
      ...{ TRUNKLINE_LIMITS_CONNECTS_PER_IP_PER_SECOND: "0", TRUNKLINE_LOG_LEVEL: "error" },
      ...{ TRUNKLINE_COMPRESSION_THRESHOLD: "128B", ...env },
    },
  });
  await started(instance, "the instance", () => accepts({ hostname: LOOPBACK, port }));
  const pid = instance.process.pid!;
  const publish = async (n: number) => {
    const response = await fetch(`http://${LOOPBACK}:${port}/api/publish`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": KEY },
      body: JSON.stringify({ channel: CHANNEL, data: make(n) }),
    });
    if (!response.ok) throw new Error(`publish: ${response.status} ${await response.text()}`);
  };
  const crowd = new Crowd();
  try {
    const empty = residentBytes(pid)!;
    const [request, commands, answered] = stream
      ? [STREAM, undefined, "\r\n\r\n"]
      : [HANDSHAKE, COMMANDS, '"subscribe"'];
    for (let n = 0; n < CLIENTS; n += 50) {
      await Promise.all(Array.from({ length: 50 }, () => crowd.join(port, request, commands, answered)));
    }
    // What a connection's compressor needs it takes with the first message.
    for (let n = 0; n < 3; n++) await publish(n);
    await crowd.quiet();
    const [bytes, cpu] = [crowd.bytes, processorMs(pid)!];
    for (let n = 3; n < MESSAGES + 3; n++) {
      await publish(n);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    await crowd.quiet();
    const deliveries = CLIENTS * MESSAGES;
    return {
      bytes: (crowd.bytes - bytes) / deliveries,
      microseconds: ((processorMs(pid)! - cpu) / deliveries) * 1_000,
      kilobytes: (residentBytes(pid)! - empty) / CLIENTS / 1_024,
    };
  } finally {
    crowd.leave();
  }
}

const SETTINGS = ["off", "shared", "4KB", "32KB", "256KB"] as const;
const rows = [["messages", "over", "setting", "bytes each", "µs each", "KB a connection"]];
for (const [kind, make] of Object.entries(KINDS)) {
  const row = async (over: string, setting: string, env: Record<string, string>) => {
    const { bytes, microseconds, kilobytes } = await measure(make, env, over === "stream");
    rows.push([kind, over, setting, bytes.toFixed(0), microseconds.toFixed(1), kilobytes.toFixed(1)]);
    process.stderr.write(`${rows.at(-1)!.join("  ")}\n`);
  };
  for (const setting of SETTINGS) await row("WebSocket", setting, { TRUNKLINE_COMPRESSION_SENT: setting });
  for (const setting of ["off", "direct"])
    await row("stream", setting, { TRUNKLINE_COMPRESSION_STREAMS: setting });
}
print(aligned(rows).join("\n"));
