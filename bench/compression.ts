/**
 * What compression saves and costs: `npm run bench:compression` prints the tables of docs/compression.md. One instance on Bun
 * for each setting, with so many raw clients in one channel, which count what comes over the wire and inflate nothing.
 */
import { randomBytes } from "node:crypto";
import process from "node:process";
import { processorMs, residentBytes } from "../src/bench/machine.ts";
import { print } from "../src/cli/output.ts";
import { Children, started } from "../src/process/children.ts";
import { accepts, freePort, LOOPBACK } from "../src/process/ports.ts";
import { aligned } from "./markdown.ts";
import { Crowd, ONE_WAY_STREAM, OPEN_DOORS, publish, WEBSOCKET } from "./raw-crowd.ts";

const CLIENTS = 1_000;
const MESSAGES = 40;
/** Pause between two messages, ms: nobody's buffer fills. */
const PAUSE_MS = 25;

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
      ...{ ...process.env, PORT: `${port}`, ...OPEN_DOORS, TRUNKLINE_COMPRESSION_THRESHOLD: "128B", ...env },
    },
  });
  await started(instance, "the instance", () => accepts({ hostname: LOOPBACK, port }));
  const pid = instance.process.pid!;
  const crowd = new Crowd();
  try {
    const empty = residentBytes(pid)!;
    await crowd.grow(CLIENTS, () => crowd.join(port, stream ? ONE_WAY_STREAM : WEBSOCKET));
    // What a connection's compressor needs it takes with the first message.
    for (let n = 0; n < 3; n++) await publish(port, make(n));
    await crowd.quiet();
    const [bytes, cpu] = [crowd.bytes, processorMs(pid)!];
    for (let n = 3; n < MESSAGES + 3; n++) {
      await publish(port, make(n));
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
