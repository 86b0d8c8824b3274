import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Server, ServerWebSocket } from "bun";
import { jwtVerify } from "jose";
import type { Body } from "../../src/bench/dialect.ts";
import { type RunOptions, run } from "../../src/bench/run.ts";
import type { TargetKind } from "../../src/bench/targets.ts";
import { until } from "../helpers/until.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const SECRET = "only-for-tests-0123456789abcdefghijklmnop";
const NEVER = new AbortController().signal;

const options: RunOptions = {
  scenario: "broadcast",
  clients: 20,
  inbox: true,
  rounds: 1,
  workers: 2,
  ratePerSecond: 50,
  seconds: 0.2,
};

/** What a fake server does besides what it should. */
interface Misdeeds {
  /** Answer to the connect of the client with this number, instead of letting it in. */
  refuse?(socket: ServerWebSocket<number>, number: number): boolean;
  /** Copies of a message a client gets; 1 is right. */
  copies?(number: number, n: number): number;
}

/** A server that speaks just enough of the Centrifuge protocol, checks what clients send, and can do wrong. */
class FakeServer implements AsyncDisposable {
  readonly users = new Set<string>();
  readonly tokens = new Set<string>();
  readonly complaints: string[] = [];
  pongs = 0;
  readonly #server: Server<number>;
  readonly #sockets = new Set<ServerWebSocket<number>>();
  readonly #copies: (number: number, n: number) => number;

  constructor(misdeeds: Misdeeds = {}) {
    this.#copies = misdeeds.copies ?? (() => 1);
    let number = 0;
    this.#server = Bun.serve<number>({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request, server) =>
        server.upgrade(request, { data: number++ }) ? undefined : new Response("no", { status: 400 }),
      websocket: {
        message: async (socket, frame) => {
          if (String(frame) === "{}") {
            this.pongs++;
            return;
          }
          const [connect, subscribe] = String(frame)
            .split("\n")
            .map((line) => JSON.parse(line));
          const { token } = connect.connect;
          const { payload } = await jwtVerify(token, new TextEncoder().encode(SECRET));
          this.users.add(payload.sub ?? "");
          this.tokens.add(token);
          if (subscribe.subscribe.channel !== "fake") this.complaints.push("wrong channel");
          if (misdeeds.refuse?.(socket, socket.data)) return;
          this.#sockets.add(socket);
          socket.send(`{"id":1,"connect":{"client":"${socket.data}","ping":25,"pong":true}}`);
          socket.send('{"id":2,"subscribe":{}}');
          socket.send("{}");
        },
        close: (socket) => void this.#sockets.delete(socket),
      },
    });
  }

  get kind(): TargetKind {
    return {
      name: "fake",
      via: "HTTP",
      start: async () => ({
        host: "127.0.0.1",
        port: this.#server.port!,
        dialect: "centrifuge",
        channel: "fake",
        secret: SECRET,
        publisher: { publish: async (body) => this.#send(body), async [Symbol.asyncDispose]() {} },
        metric: async () => undefined,
        async [Symbol.asyncDispose]() {},
      }),
    };
  }

  #send(body: Body): void {
    const push = JSON.stringify({ push: { channel: "fake", pub: { data: body } } });
    for (const socket of this.#sockets) {
      for (let i = 0; i < this.#copies(socket.data, body.n); i++) socket.send(push);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}

async function load(server: FakeServer, changes: Partial<RunOptions> = {}) {
  const [row] = await run({ ...options, ...changes }, [server.kind], NEVER, () => {});
  return row!.rounds[0]!;
}

/** 50 messages to warm up, 10 that are timed. */
const MESSAGES = 60;

describe("the load generator against servers that do right and wrong", () => {
  test("everything arrives: nothing lost, each client itself, pings answered", async () => {
    await using server = new FakeServer();
    const { figures, reasons } = await load(server);
    expect(figures).toMatchObject({ joined: 20, failed: 0, dropped: 0, lost: 0, duplicates: 0 });
    expect(figures.p50).toBeGreaterThan(0);
    expect(figures.max).toBeGreaterThanOrEqual(figures.p50!);
    expect(reasons.size).toBe(0);
    expect(server.complaints).toEqual([]);
    expect(server.users.size).toBe(20);
    expect(server.pongs).toBe(20);
  });

  test("clients without a user still have tokens of their own", async () => {
    await using server = new FakeServer();
    await load(server, { inbox: false });
    expect([...server.users]).toEqual([""]);
    expect(server.tokens.size).toBe(20);
  });

  test("losses are counted in the middle and at the end, duplicates too", async () => {
    await using server = new FakeServer({
      copies(number, n) {
        if (number === 3 && n === 55) return 0;
        if (number === 4 && n > MESSAGES - 2) return 0;
        return number === 5 && n === 20 ? 3 : 1;
      },
    });
    const { figures } = await load(server);
    expect(figures).toMatchObject({ joined: 20, lost: 3, duplicates: 2 });
  });

  test("who does not get in or is thrown out is counted with the reason", async () => {
    await using server = new FakeServer({
      refuse(socket, number) {
        if (number === 1) socket.send('{"id":1,"error":{"code":109,"message":"token expired"}}');
        else if (number === 2) socket.close(3507, "permission denied");
        else return false;
        return true;
      },
      copies: (number, n) => (number === 3 && n === 10 ? 0 : 1),
    });
    const { figures, reasons } = await load(server);
    expect(figures).toMatchObject({ joined: 18, failed: 2 });
    expect(Object.fromEntries(reasons)).toEqual({
      "error 109: token expired": 1,
      "closed 3507 permission denied": 1,
    });
    // Those who are not in miss everything.
    expect(figures.lost).toBe(2 * MESSAGES + 1);
  });

  test("a server that answers with an HTTP error, or not at all", async () => {
    await using busy = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response("busy", { status: 503 }),
    }) as Server<undefined> & AsyncDisposable;
    const kind = (port: number): TargetKind => ({
      name: "fake",
      via: "HTTP",
      start: async () => ({
        host: "127.0.0.1",
        port,
        dialect: "bare",
        channel: "fake",
        secret: "",
        publisher: { publish: async () => {}, async [Symbol.asyncDispose]() {} },
        metric: async () => undefined,
        async [Symbol.asyncDispose]() {},
      }),
    });
    const reasons = async (port: number) => {
      const [row] = await run({ ...options, scenario: "idle" }, [kind(port)], NEVER, () => {});
      return Object.fromEntries(row!.rounds[0]!.reasons);
    };
    expect(await reasons(busy.port!)).toEqual({ "HTTP 503": 20 });
    expect(await reasons(1)).toEqual({ ECONNREFUSED: 20 });
  });
});

test("a run that is stopped ends at once, whatever it waits for", async () => {
  const stop = new AbortController();
  await using server = new FakeServer({
    refuse: () => {
      if (server.users.size === options.clients) stop.abort();
      return true; // and says nothing
    },
  });
  const startMs = performance.now();
  await expect(run(options, [server.kind], stop.signal, () => {})).rejects.toThrow("a load worker ended");
  expect(performance.now() - startMs).toBeLessThan(8_000);
}, 20_000);

describe("trunkline bench", () => {
  test("storm: the product recovers everybody without a loss, the control nobody", async () => {
    const { code, out } = await command("storm", "-n", "50", "--rounds", "1", "--json");
    expect(code).toBe(0);
    const { targets } = JSON.parse(out);
    expect(targets[0]).toMatchObject({ target: "plain Bun", median: { joined: 50, lost: 500 } });
    expect(targets[1]).toMatchObject({
      target: "trunkline",
      median: { joined: 50, failed: 0, recovered: 50, unrecovered: 0, replayed: 500, lost: 0, duplicates: 0 },
    });
  }, 30_000);

  test("idle: memory and rate of both, as a table", async () => {
    const { code, out } = await command("idle", "-n", "300", "--rounds", "1", "--inbox");
    expect(code).toBe(0);
    expect(out).toMatch(/idle: 300 clients with inboxes\n +plain Bun +trunkline +ratio\n/);
    expect(out).toMatch(/^clients in +300 +300 *$/m);
    expect(out).toMatch(/^user memory per connection.* +[\d.]+ KB +[\d.]+ KB +× [\d.]+$/m);
  }, 30_000);

  test("too many clients for one process are refused before anything is measured", async () => {
    const { code, out } = await command("idle", "-n", "9000000", "-t", "bun", "--workers", "1");
    expect(code).toBe(1);
    expect(out).toContain("9000000 clients are too many");
  });

  test("interrupted, it leaves no process behind", async () => {
    const child = Bun.spawn([process.execPath, MAIN, "bench", "broadcast", "-n", "50", "--seconds", "60"], {
      stdout: "pipe",
      stderr: "pipe",
    });
    // The server and one worker.
    const started = await until(() => {
      const pids = childrenOf(child.pid);
      return pids.length === 2 ? pids : undefined;
    });
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
    await until(() => started.every((pid) => !isAlive(pid)), { what: "its children to be gone" });
  }, 15_000);
});

async function command(...args: string[]): Promise<{ code: number; out: string }> {
  const { NATS_URL: _, REDIS_URL: __, ...env } = process.env;
  const child = Bun.spawn([process.execPath, MAIN, "bench", ...args], {
    env,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [code, out, err] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, out: out + err };
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
