import { readFileSync } from "node:fs";
import process from "node:process";
import { detectRuntime } from "../../src/cli/detect-runtime.ts";
import type { Socket, SocketHandler } from "../../src/runtime/runtime.ts";

/**
 * A server that does over the runtime port what its clients tell it, run by the contract suite as a process of its
 * own under each runtime. What happens to its sockets is printed, one JSON line each.
 */
const runtime = await detectRuntime();
const print = (line: Record<string, unknown>) => console.log(JSON.stringify(line));
let ids = 0;

class Handler implements SocketHandler {
  readonly id = ++ids;

  opened(socket: Socket): void {
    print({ event: "opened", id: this.id });
    socket.send(`id:${this.id}`);
  }

  message(socket: Socket, frame: string | Uint8Array): void {
    if (typeof frame !== "string") {
      socket.send(frame);
      return;
    }
    const [verb, a = "", b = ""] = frame.split(":");
    if (verb === "echo") socket.send(a);
    else if (verb === "ping") socket.ping();
    else if (verb === "subscribe") socket.subscribe(a);
    else if (verb === "unsubscribe") socket.unsubscribe(a);
    else if (verb === "publish") server.publish(a, b);
    else if (verb === "except") socket.publish(a, b);
    else if (verb === "renew") {
      server.renew(certificate(a)).then(
        () => print({ event: "renewed" }),
        (error: Error) => print({ event: "not renewed", error: error.message }),
      );
    } else if (verb === "worthless") socket.send(a, false);
    else if (verb === "resident") socket.send(String(runtime.residentBytes()));
    else if (verb === "mix") this.#mix(socket, a, Number(b));
    else if (verb === "flood") this.#flood(a, Number(b));
    else if (verb === "long") {
      socket.send("x".repeat(Number(a)));
      print({ event: "queued", id: this.id, buffered: socket.getBufferedAmount() });
    } else if (verb === "close") {
      socket.close(Number(a), b);
      print({ event: "sent", id: this.id, result: socket.send("too late") });
    } else if (verb === "terminate") {
      socket.terminate();
      print({ event: "sent", id: this.id, result: socket.send("too late") });
    } else if (verb === "stop") server.stopListening();
    else if (verb === "end") void server.close().then(() => print({ event: "ended" }));
  }

  onControlFrame(): void {
    print({ event: "heard", id: this.id });
  }

  drained(): void {
    print({ event: "drained", id: this.id });
  }

  closed(_socket: Socket, code: number, reason: string): void {
    print({ event: "closed", id: this.id, code, reason });
  }

  /** Sends to the socket and publishes to its topic in turns: the socket must see 0, 1, 2 … */
  #mix(socket: Socket, topic: string, count: number): void {
    for (let n = 0; n < count; n++) {
      const text = `${n}${n % 7 === 0 ? " ".repeat(20_000) : ""}`;
      if (n % 2 === 0) socket.send(text);
      else server.publish(topic, text);
    }
  }

  /** Publishes numbered frames of 8 KB, in bursts. */
  #flood(topic: string, count: number): void {
    let n = 0;
    const timer = setInterval(() => {
      for (let burst = 0; burst < 8 && n < count; burst++) server.publish(topic, `${n++}${" ".repeat(8000)}`);
      if (n < count) return;
      clearInterval(timer);
      print({ event: "flooded" });
    }, 1);
  }
}

/** The files `<path>.pem` and `<path>.key`. */
function certificate(path: string) {
  return { cert: readFileSync(`${path}.pem`, "utf8"), key: readFileSync(`${path}.key`, "utf8") };
}

const { FIXTURE_TLS, FIXTURE_COMPRESSION, FIXTURE_PROXY } = process.env;

const server = runtime.serve({
  hostname: "127.0.0.1",
  port: 0,
  ...(FIXTURE_TLS && { tls: certificate(FIXTURE_TLS) }),
  ...(FIXTURE_COMPRESSION && { compression: JSON.parse(FIXTURE_COMPRESSION) }),
  ...(FIXTURE_PROXY && {
    proxyProtocol: {
      trusts: (address: string) => address === "127.0.0.1",
      timeoutMs: 500,
      refused: (address: string, why: string) => print({ event: "refused", address, why }),
    },
  }),
  maxFrameBytes: 65_536,
  backpressureBytes: 262_144,
  maxRequestBytes: 10_000,
  upgradeHeaders: { "x-from": "fixture" },
  async fetch(request, context) {
    const url = new URL(request.url);
    if (url.pathname === "/broken") throw new Error("broken");
    if (request.method === "POST") return new Response(String((await request.text()).length));
    const plain = url.searchParams.has("plain");
    const upgraded = context.upgrade(new Handler(), url.searchParams.get("protocol") ?? undefined, !plain);
    return upgraded ?? new Response(context.ip, { status: 426 });
  },
});
runtime.onSignal("SIGTERM", () => {
  print({ event: "signal" });
  runtime.exit(7);
});
print({
  event: "listening",
  port: server.port,
  runtime: runtime.name,
  version: runtime.version,
  descriptors: runtime.descriptorLimit(),
  resident: runtime.residentBytes(),
});
