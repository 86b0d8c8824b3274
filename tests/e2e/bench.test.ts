import { describe, expect, test } from "bun:test";
import type { Server, ServerWebSocket } from "bun";
import { jwtVerify } from "jose";
import type { Body } from "../../src/bench/load/client/dialect.ts";
import { type RunOptions, run } from "../../src/bench/load/run.ts";
import type { Target, TargetKind } from "../../src/bench/load/target/target.ts";

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
  changesPerSecond: 1,
  roomSize: 10,
  channels: 4,
};

/** A target of this very process. */
function kindOf(port: number, of: Partial<Target> = {}): TargetKind {
  return {
    name: "fake",
    via: "HTTP",
    connected: true,
    version: "",
    start: async () => ({
      endpoints: [{ hostname: "127.0.0.1", port }],
      dialect: "bare",
      channel: "fake",
      present: "fake",
      inbox: "inbox-",
      secret: "",
      pids: [],
      publisher: { publish: async () => {}, async [Symbol.asyncDispose]() {} },
      usage: async () => ({}),
      async [Symbol.asyncDispose]() {},
      ...of,
    }),
  };
}

/** What a fake server does besides what it should. */
interface Misdeeds {
  /** Answer to the connect of the client with this number, instead of letting it in. */
  refuse?(socket: ServerWebSocket<number>, number: number): boolean;
  /** Copies of a message a client gets; 1 is right. */
  copies?(number: number, n: number): number;
  /** Sends a message to a client, when it likes to. */
  deliver?(number: number, n: number, send: () => void): void;
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
  readonly #deliver: NonNullable<Misdeeds["deliver"]>;

  constructor(misdeeds: Misdeeds = {}) {
    this.#copies = misdeeds.copies ?? (() => 1);
    this.#deliver = misdeeds.deliver ?? ((_, __, send) => send());
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
    return kindOf(this.#server.port!, {
      dialect: "centrifuge",
      secret: SECRET,
      publisher: { publish: async (_, body) => this.#send(body), async [Symbol.asyncDispose]() {} },
    });
  }

  #send(body: Body): void {
    const push = JSON.stringify({ push: { channel: "fake", pub: { data: body } } });
    for (const socket of this.#sockets) {
      for (let i = 0; i < this.#copies(socket.data, body.n); i++) {
        this.#deliver(socket.data, body.n, () => void socket.send(push));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}

async function load(server: FakeServer, changes: Partial<RunOptions> = {}) {
  const { rows } = await run({ ...options, ...changes }, [server.kind], NEVER, () => {});
  return rows[0]!.rounds[0]!;
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

  test("what comes after a newer one is out of order, neither lost nor a duplicate", async () => {
    let held: (() => void) | undefined;
    await using server = new FakeServer({
      deliver(number, n, send) {
        if (number === 2 && n === 12) held = send;
        else send();
        if (number === 2 && n === 13) held?.();
      },
    });
    expect((await load(server)).figures).toMatchObject({ lost: 0, duplicates: 0, disorder: 1 });
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
    const reasons = async (port: number) => {
      const { rows } = await run({ ...options, scenario: "idle" }, [kindOf(port)], NEVER, () => {});
      return Object.fromEntries(rows[0]!.rounds[0]!.reasons);
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

test("a target that cannot be had is left out and said, and none at all is an error", async () => {
  await using server = new FakeServer();
  const missing = { ...kindOf(1), name: "missing", unavailable: async () => "nobody has it" };
  const { rows, skipped } = await run({ ...options, seconds: 0.02 }, [missing, server.kind], NEVER, () => {});
  expect(rows.map(({ target }) => target)).toEqual(["fake"]);
  expect(skipped).toEqual([{ target: "missing", why: "nobody has it" }]);
  await expect(run(options, [missing], NEVER, () => {})).rejects.toThrow("missing: nobody has it");
});
