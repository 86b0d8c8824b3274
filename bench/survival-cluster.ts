import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { apiSender, natsSender, type Sender } from "../src/bench/check/send.ts";
import { natsStore, type ReadStore } from "../src/bench/check/store.ts";
import { atLeast } from "../src/core/version.ts";
import { connect } from "../src/nats/client.ts";
import { Children } from "../src/process/children.ts";
import { accepts, freePort, LOOPBACK } from "../src/process/ports.ts";
import { program } from "../src/process/programs.ts";
import { startInstance, type WorldInstance } from "../src/world/instance.ts";
import { startRedis } from "../src/world/redis.ts";
import { type ManagedServer, startServer } from "../src/world/server.ts";
import { Line, openWire } from "../src/world/wire.ts";
import { type Disk, STREAM } from "./survival-deeds.ts";
import type { Theatre } from "./survival-stage.ts";

/** Below this version replicas diverge when a cluster is cut. */
const REPLICAS_SINCE = "2.10.29";
const SIZE = 3;
const REGION = "home";
const HISTORY = 50_000;
const FORMING_MS = 30_000;
const SECRETS = { token: crypto.randomUUID().repeat(2), apiKey: crypto.randomUUID().repeat(2) };
const connection = { maxReconnectAttempts: -1, reconnectTimeWait: 100 };

/** One server of the cluster. */
export interface Node extends Disk {
  readonly name: string;
  readonly url: string;
}

/** Why there can be no replicas with this nats-server; `undefined`: there can. @param version such as `2.12.12` */
export function noReplicas(version: string): string | undefined {
  if (atLeast(version, REPLICAS_SINCE)) return undefined;
  return `nats-server ${version} is older than ${REPLICAS_SINCE}: its replicas diverge. NATS_SERVER_BIN may name another`;
}

/** One region: three NATS servers with streams of three replicas, an instance at each, and a Redis. */
export class Cluster implements Theatre {
  readonly secrets = SECRETS;
  nodes: readonly Node[] = [];
  instances: readonly WorldInstance[] = [];
  senders: readonly Sender[] = [];
  redis!: ManagedServer;
  /** Of each pair of servers, by their places such as `0-1`. */
  readonly #lines = new Map<string, Line>();
  readonly #parts = new AsyncDisposableStack();
  readonly #children = new Children();
  #dir = "";
  #historySize = HISTORY;
  readonly #config: object;

  private constructor(config: object) {
    this.#config = config;
  }

  /** @param config settings of all instances besides */
  static async open(config: object = {}): Promise<Cluster> {
    const cluster = new Cluster(config);
    await using parts = new AsyncDisposableStack();
    parts.use(cluster);
    await cluster.#start();
    parts.move();
    return cluster;
  }

  get urls(): string[] {
    return this.nodes.map(({ url }) => url);
  }

  get store(): ReadStore {
    return natsStore(() => connect({ servers: this.urls }), "rt");
  }

  get copies() {
    return this.nodes
      .filter(({ alive }) => alive)
      .map(({ name, url }) => ({
        name: `replica on ${name}`,
        read: natsStore(() => connect({ servers: url }), "rt", { nearest: true }),
      }));
  }

  /** Servers without the stream's leader, and the leader last. @throws Error when there is none for long */
  async byRole(): Promise<[follower: Node, other: Node, leader: Node]> {
    const end = performance.now() + FORMING_MS;
    for (;;) {
      const leader = await this.#leader().catch(() => undefined);
      const node = this.nodes.find(({ name }) => name === leader);
      if (node) return [...this.nodes.filter((one) => one !== node), node] as [Node, Node, Node];
      if (performance.now() > end) throw new Error("the stream has no leader");
      await sleep(100);
    }
  }

  /** Cuts one server off from the others, or lets it back; clients reach it all the time. */
  cutOff(node: Node, cut: boolean): void {
    const place = this.nodes.indexOf(node);
    for (const [pair, line] of this.#lines) {
      if (pair.split("-").includes(`${place}`)) line.state = cut ? "cut" : "open";
    }
  }

  /** Changes `history.size` in the configuration; it counts for instances that start. */
  async changeHistorySize(): Promise<void> {
    await this.#configure(++this.#historySize);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }

  async #start(): Promise<void> {
    const children = this.#parts.use(this.#children);
    this.#dir = await mkdtemp(join(tmpdir(), "trunkline-survival-"));
    children.watchFolder(this.#dir);
    this.#parts.defer(() => rm(this.#dir, { recursive: true, force: true, maxRetries: 5 }));
    const port = await freePort();
    this.redis = await startRedis(children, { port, dir: this.#dir, onChange() {} });
    await this.#configure(HISTORY);
    await this.#servers();
    const instances: WorldInstance[] = [];
    // The first one alone: it makes the streams.
    instances.push(await this.#instance(0, port));
    instances.push(...(await Promise.all([1, 2].map((place) => this.#instance(place, port)))));
    this.instances = instances;
    const urls = instances.map(({ url }) => url);
    for (const [place, { url }] of this.nodes.entries()) {
      const own = [...urls.slice(place), ...urls.slice(0, place)];
      const nats = natsSender(() => connect({ servers: [url, ...this.urls], ...connection }), "rt");
      this.senders = [...this.senders, await nats, apiSender(own, SECRETS.apiKey)];
    }
    for (const sender of this.senders) this.#parts.use(sender);
  }

  async #configure(size: number): Promise<void> {
    const history = { size, age: "2h", replicas: SIZE };
    const config = { ...this.#config, namespaces: { chat: { history } } };
    const limits = { limits: { connectsPerIpPerSecond: 0 } };
    await writeFile(this.#configFile, JSON.stringify({ ...limits, ...config }));
  }

  get #configFile(): string {
    return join(this.#dir, "trunkline.json");
  }

  /**
   * Each pair of servers has wires of its own, one each way; what they tell each other of addresses leads nowhere, so that
   * they find no other way.
   */
  async #servers(): Promise<void> {
    const places = Array.from({ length: SIZE }, (_, place) => place);
    const ports = await Promise.all(
      places.map(async () => ({ client: await freePort(), route: await freePort() })),
    );
    const nowhere = await freePort();
    const nodes = places.map(async (place) => {
      const routes = await Promise.all(
        places
          .filter((other) => other !== place)
          .map((other) => this.#wire(place, other, ports[other]!.route)),
      );
      return await this.#server(place, ports[place]!, { routes, nowhere });
    });
    this.nodes = await Promise.all(nodes);
    const nc = await connect({ servers: this.urls, ...connection });
    const end = performance.now() + FORMING_MS;
    const formed = () =>
      nc.request("$JS.API.INFO", "", { timeout: 1_000 }).then(
        (answer) => !("error" in answer.json<object>()),
        () => false,
      );
    while (!(await formed())) if (performance.now() > end) throw new Error("the cluster does not form");
    await nc.close();
  }

  async #wire(from: number, to: number, target: number): Promise<number> {
    const pair = [from, to].sort().join("-");
    const line = this.#lines.get(pair) ?? new Line(() => 0);
    this.#lines.set(pair, line);
    const wire = await openWire(target, { line, bytes: { in: 0, out: 0 } });
    this.#parts.defer(() => wire.close());
    return wire.port;
  }

  async #server(
    place: number,
    { client, route }: { readonly client: number; readonly route: number },
    { routes, nowhere }: { readonly routes: readonly number[]; readonly nowhere: number },
  ): Promise<Node> {
    const name = `n${place}`;
    const storeDir = join(this.#dir, name);
    const file = join(this.#dir, `${name}.conf`);
    const urls = routes.map((port) => `"nats://${LOOPBACK}:${port}"`).join(", ");
    await writeFile(
      file,
      `server_name: ${name}
listen: "${LOOPBACK}:${client}"
server_tags: ["region:${REGION}"]
ping_interval: "5s"
jetstream { store_dir: "${storeDir}", max_file: 4GB }
cluster {
  name: ${REGION}, listen: "${LOOPBACK}:${route}", advertise: "${LOOPBACK}:${nowhere}", no_advertise: true
  routes: [${urls}]
}
`,
    );
    const server = await startServer({
      name: `nats-server ${name}`,
      children: this.#children,
      program: () => ({ command: program("nats-server"), args: ["-c", file] }),
      probe: () => accepts({ hostname: LOOPBACK, port: client }),
    });
    return Object.assign(server, { name, storeDir, url: `nats://${LOOPBACK}:${client}` });
  }

  async #instance(place: number, redisPort: number): Promise<WorldInstance & ManagedServer> {
    const { urls } = this;
    return await startInstance({
      ...{ id: `${REGION}-${place + 1}`, region: REGION, command: "serve", children: this.#children },
      port: await freePort(),
      onChange() {},
      env: {
        TRUNKLINE_CONFIG: this.#configFile,
        TRUNKLINE_TOKEN_SECRET: SECRETS.token,
        TRUNKLINE_API_KEYS: SECRETS.apiKey,
        NATS_URL: [...urls.slice(place), ...urls.slice(0, place)].join(),
        REDIS_URL: `redis://${LOOPBACK}:${redisPort}`,
      },
    });
  }

  async #leader(): Promise<string | undefined> {
    const nc = await connect({ servers: this.urls, timeout: 1_000 });
    try {
      const jsm = await nc.jetstreamManager({ timeout: 1_000 });
      return (await jsm.streams.info(STREAM)).cluster?.leader;
    } finally {
      await nc.close();
    }
  }
}
