/**
 * What it costs that an instance reads the PROXY protocol itself: `npm run bench:proxy-protocol`. The same clients, straight to
 * an instance and with a header before each connection, on both runtimes.
 */
import process from "node:process";
import { processorMs, residentBytes } from "../src/bench/machine.ts";
import { print } from "../src/cli/output.ts";
import { Children, started } from "../src/process/children.ts";
import { accepts, freePort, LOOPBACK } from "../src/process/ports.ts";
import { aligned } from "./markdown.ts";
import { Crowd, OPEN_DOORS, publish, WEBSOCKET } from "./raw-crowd.ts";

const CLIENTS = 2_000;
const MESSAGES = 60;
const PAUSE_MS = 25;
const PREFACE = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";
const TEXT = "x".repeat(1_000);

const rows = [
  ["runtime", "PROXY protocol", "connects/s", "ms CPU per 1,000", "KB a connection", "µs a message"],
];
for (const runtime of ["bun", "deno"] as const) {
  for (const proxied of [false, true]) rows.push(await measure(runtime, proxied));
}
print(aligned(rows).join("\n"));

async function measure(runtime: "bun" | "deno", proxied: boolean): Promise<string[]> {
  const port = await freePort();
  await using children = new Children();
  const instance = children.start({
    ...(runtime === "deno" && { command: "node_modules/.bin/deno" }),
    args: [...(runtime === "deno" ? ["run", "-A", "--no-prompt"] : []), "src/main.ts", "serve"],
    role: "server",
    env: {
      ...{ ...process.env, PORT: `${port}`, ...OPEN_DOORS },
      ...(proxied && { TRUNKLINE_PROXY_PROTOCOL: "true", TRUNKLINE_PROXY_CIDRS: "127.0.0.1" }),
    },
  });
  await started(instance, "the instance", () => accepts({ hostname: LOOPBACK, port }));
  const pid = instance.process.pid!;
  const preface = proxied ? PREFACE : "";
  const crowd = new Crowd();
  try {
    const [empty, idle, begin] = [residentBytes(pid)!, processorMs(pid)!, performance.now()];
    await crowd.grow(CLIENTS, () => crowd.join(port, WEBSOCKET, preface));
    const connects = (CLIENTS / (performance.now() - begin)) * 1_000;
    const connecting = ((processorMs(pid)! - idle) / CLIENTS) * 1_000;
    await crowd.quiet();
    const kilobytes = (residentBytes(pid)! - empty) / CLIENTS / 1_024;
    const cpu = processorMs(pid)!;
    for (let n = 0; n < MESSAGES; n++) {
      await publish(port, TEXT, preface);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    await crowd.quiet();
    const each = ((processorMs(pid)! - cpu) / CLIENTS / MESSAGES) * 1_000;
    return [
      ...[runtime, proxied ? "yes" : "no", connects.toFixed(0), connecting.toFixed(0)],
      ...[kilobytes.toFixed(1), each.toFixed(1)],
    ];
  } finally {
    crowd.leave();
  }
}
