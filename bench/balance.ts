/**
 * How connections spread over three instances behind HAProxy as a TCP balancer, before, during and after a rolling restart, and
 * after `trunkline rebalance`: `npm run bench:balance`. Each client has an address of its own, and comes back 0.5 to 1.5 s
 * after it was closed, as stock SDKs do.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { print } from "../src/cli/output.ts";
import { type Child, Children, started } from "../src/process/children.ts";
import { accepts, freePort, LOOPBACK } from "../src/process/ports.ts";
import { program } from "../src/process/programs.ts";
import { aligned } from "./markdown.ts";
import { KEY, OPEN_DOORS, WEBSOCKET } from "./raw-crowd.ts";

const CLIENTS = 600;
const GATEWAYS = 3;
/** After a restart, until all are back. */
const SETTLE_MS = 4_000;

/** How HAProxy chooses. */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  leastconn: ["balance leastconn", "default-server check inter 500 fall 1 rise 1 send-proxy-v2"],
  "leastconn, slowstart": [
    "balance leastconn",
    "default-server check inter 500 fall 1 rise 1 slowstart 10s send-proxy-v2",
  ],
  "round robin": ["balance roundrobin", "default-server check inter 500 fall 1 rise 1 send-proxy-v2"],
  "hash, consistent": [
    "balance source",
    "hash-type consistent",
    "hash-balance-factor 150",
    "default-server check inter 500 fall 1 rise 1 send-proxy-v2",
  ],
};

/** Clients that come back whenever they are closed. */
class Returning {
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  #over = false;

  constructor(port: number) {
    this.#port = port;
    for (let n = 0; n < CLIENTS; n++) setTimeout(() => this.#come(n), (n / CLIENTS) * 1_000);
  }

  leave(): void {
    this.#over = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #come(n: number): void {
    if (this.#over) return;
    // An address of the loopback network: 127.1.0.1 and so on.
    const localAddress = `127.1.${(n >> 8) & 255}.${n & 255 || 256 - 1}`;
    const socket = connect({ host: LOOPBACK, port: this.#port, localAddress }, () =>
      socket.write(WEBSOCKET.request),
    );
    let answered = false;
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", () => {
      if (!answered && WEBSOCKET.next) socket.write(WEBSOCKET.next);
      answered = true;
    });
    socket.on("close", () => {
      this.#sockets.delete(socket);
      setTimeout(() => this.#come(n), 500 + Math.random() * 1_000);
    });
  }
}

interface Gateway {
  readonly port: number;
  readonly admin: number;
  child: Child;
}

/** Everything of one measurement. */
class Stage {
  readonly children = new Children();
  readonly gateways: Gateway[] = [];
  readonly #env: Record<string, string>;

  constructor(nats: number, redis: number) {
    this.#env = {
      ...OPEN_DOORS,
      NATS_URL: `nats://${LOOPBACK}:${nats}`,
      REDIS_URL: `redis://${LOOPBACK}:${redis}`,
      TRUNKLINE_PROXY_PROTOCOL: "true",
      TRUNKLINE_PROXY_CIDRS: LOOPBACK,
    };
  }

  async start(n: number): Promise<void> {
    const known = this.gateways[n];
    const port = known?.port ?? (await freePort());
    const admin = known?.admin ?? (await freePort());
    const child = this.children.start({
      args: ["src/main.ts", "serve"],
      role: "server",
      env: {
        ...{ ...process.env, ...this.#env, PORT: `${port}`, INSTANCE_ID: `g${n + 1}` },
        TRUNKLINE_ADMIN_PORT: `${admin}`,
      },
    });
    await started(child, "an instance", () => accepts({ hostname: LOOPBACK, port: admin }));
    this.gateways[n] = { port, admin, child };
  }

  /** Connections of each instance; "–" of one that is not there. */
  async spread(): Promise<string> {
    const counts = await Promise.all(
      this.gateways.map(async ({ admin }) => {
        const page = await fetch(`http://${LOOPBACK}:${admin}/metrics`, {
          signal: AbortSignal.timeout(2_000),
        }).catch(() => undefined);
        return page ? (/^trunkline_connections (\d+)/m.exec(await page.text())?.[1] ?? "?") : "–";
      }),
    );
    return counts.join(" / ");
  }

  /** Runs `trunkline rebalance` until it has nothing left to do. */
  async rebalance(port: number): Promise<number> {
    const begin = performance.now();
    for (let rounds = 0; rounds < 5; rounds++) {
      const command = this.children.start({
        args: ["src/main.ts", "rebalance", "--url", `http://${LOOPBACK}:${port}`, "--json", "--rate", "200"],
        role: "server",
        env: { ...process.env, TRUNKLINE_API_KEYS: KEY },
      });
      await command.exited;
      if (command.output() === "[]") break;
      await sleep(SETTLE_MS);
    }
    return performance.now() - begin;
  }
}

const rows = [["balance", "before", "g1 away", "g1 back", "g2 restarted", "g3 restarted", "after rebalance"]];
const dir = await mkdtemp(join(tmpdir(), "trunkline-balance-"));
try {
  for (const [name, lines] of Object.entries(ALGORITHMS)) rows.push([name, ...(await measure(lines))]);
} finally {
  await rm(dir, { recursive: true, force: true });
}
print(aligned(rows).join("\n"));

async function measure(lines: readonly string[]): Promise<string[]> {
  const [nats, redis, front, plain] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const stage = new Stage(nats, redis);
  await using children = stage.children;
  children.watchFolder(dir);
  const server = (command: string, args: readonly string[]) =>
    children.start({ command, args, role: "server" });
  const broker = server(program("nats-server"), [
    "-a",
    LOOPBACK,
    "-p",
    `${nats}`,
    "-js",
    "-sd",
    join(dir, `${nats}`),
  ]);
  const store = server(program("redis-server"), [
    "--port",
    `${redis}`,
    "--bind",
    LOOPBACK,
    "--save",
    "",
    "--dir",
    dir,
  ]);
  await started(broker, "nats-server", () => accepts({ hostname: LOOPBACK, port: nats }));
  await started(store, "redis-server", () => accepts({ hostname: LOOPBACK, port: redis }));
  for (let n = 0; n < GATEWAYS; n++) await stage.start(n);
  const file = join(dir, `${front}.cfg`);
  await writeFile(file, haproxy(stage.gateways, lines, { front, plain }));
  const balancer = server(process.env.HAPROXY_BIN ?? "haproxy", ["-f", file]);
  await started(balancer, "haproxy", () => accepts({ hostname: LOOPBACK, port: front }));
  const clients = new Returning(front);
  try {
    await sleep(SETTLE_MS);
    const seen = [await stage.spread()];
    for (let n = 0; n < GATEWAYS; n++) {
      await stage.gateways[n]!.child.stop();
      await sleep(SETTLE_MS);
      if (n === 0) seen.push(await stage.spread());
      await stage.start(n);
      await sleep(SETTLE_MS);
      seen.push(await stage.spread());
    }
    const ms = await stage.rebalance(plain);
    return [...seen, `${await stage.spread()} (${(ms / 1_000).toFixed(0)} s)`];
  } finally {
    clients.leave();
  }
}

/** A configuration with a frontend for clients, and one for the command, which is one client more. */
function haproxy(
  gateways: readonly Gateway[],
  lines: readonly string[],
  { front, plain }: { readonly front: number; readonly plain: number },
): string {
  const servers = gateways.map(
    ({ port, admin }, n) => `  server g${n + 1} ${LOOPBACK}:${port} port ${admin} no-check-send-proxy`,
  );
  return `global
  maxconn 4000
defaults
  mode tcp
  timeout connect 2s
  timeout client 75s
  timeout server 75s
  option redispatch 1
  retries 3
listen clients
  bind ${LOOPBACK}:${front}
  ${lines.join("\n  ")}
  option httpchk GET /readyz
${servers.join("\n")}
listen command
  bind ${LOOPBACK}:${plain}
  default-server send-proxy-v2
${servers.map((one) => one.replace(/ port.*/, "")).join("\n")}
`;
}
