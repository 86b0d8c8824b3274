import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Children } from "../process/children.ts";
import { freePort, LOOPBACK } from "../process/ports.ts";
import type { City } from "./cities.ts";
import { instancePort, requireFreePorts } from "./fixed-ports.ts";
import { formed } from "./forming.ts";
import { startInstance, type WorldInstance } from "./instance.ts";
import { Cables, type Links } from "./links.ts";
import { type MetaGroup, metaGroup } from "./monitor.ts";
import { type Nats, natsPorts, startNats } from "./nats.ts";
import { citiesOf, WorldError, type WorldEvent, type WorldOptions } from "./options.ts";
import { startRedis } from "./redis.ts";
import type { ManagedServer } from "./server.ts";

/** One region: a NATS server and the instances that stand on it. */
export interface Region {
  /** Code of its city, which is its `REGION` and the name of its NATS cluster. */
  readonly name: string;
  readonly city: City;
  readonly nats: Nats;
  readonly instances: readonly WorldInstance[];
  /** `partial`: some of its processes have ended. */
  readonly state: "up" | "partial" | "down";
  /** Ends all its processes at once. What its NATS server has stored stays. */
  kill(): Promise<void>;
  /** Starts what has ended. */
  heal(): Promise<void>;
}

/** Several regions as processes of this machine. Nothing of it is left once it is disposed, or this process has ended. */
export interface World extends AsyncDisposable {
  readonly regions: readonly Region[];
  /** @throws RangeError when there is none of that name */
  region(name: string): Region;
  readonly links: Links;
  /** Presence of all regions, in the first one. */
  readonly redis: {
    readonly url: string;
    readonly alive: boolean;
    start(): Promise<void>;
    stop(): Promise<void>;
  };
  /** What signs its clients' tokens (HS256), and opens the instances' server API. */
  readonly secrets: { readonly token: string; readonly apiKey: string };
  /** As the servers that answer know it. */
  metaGroup(): Promise<MetaGroup | undefined>;
  /** Writes another configuration file for every instance; each reads it when it starts the next time. */
  configure(config: object): Promise<void>;
  /** Tells every instance to drain, and waits for it; to be disposed then. */
  drain(): Promise<void>;
}

/** Starts a world, and waits until it takes clients. @throws WorldError, ChildError */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const { regions: wanted = 3, instances: count = 1, latency = "off" } = options;
  const cities = citiesOf(wanted);
  if (!Number.isInteger(count) || count < 1) throw new WorldError("a region has at least one instance");
  await requireFreePorts(options, cities, count);
  await using parts = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), "trunkline-world-"));
  parts.defer(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  const start = new WorldStart(options, cities, dir, parts);
  await start.servers();
  const regions = await start.regions(count);
  // What has to be agreed on across oceans is quicker while there are none.
  start.cables.setLatency(latency);
  const { redis } = start;
  const servers = start.nats.map(({ monitorUrl }, index) => ({ region: cities[index]!.code, monitorUrl }));
  const kept = parts.move();
  return {
    regions,
    region(name) {
      const found = regions.find((region) => region.name === name);
      if (!found) throw new RangeError(`no region ${name} in this world`);
      return found;
    },
    links: start.cables,
    redis: {
      url: `redis://${LOOPBACK}:${start.redisPort}`,
      get alive() {
        return redis.alive;
      },
      start: () => redis.restart(),
      stop: () => redis.kill(),
    },
    secrets: start.secrets,
    metaGroup: () => metaGroup(servers),
    configure: (config) => start.configure(config),
    async drain() {
      await Promise.all(regions.flatMap(({ instances }) => instances.map((instance) => instance.term())));
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The processes of a world while it is started, each part once and in order: servers, then instances on them. */
class WorldStart {
  readonly cables: Cables;
  readonly secrets: World["secrets"];
  redisPort = 0;
  redis!: ManagedServer;
  nats: (Nats & ManagedServer)[] = [];
  readonly #options: WorldOptions;
  readonly #cities: readonly City[];
  readonly #dir: string;
  readonly #children: Children;
  readonly #running: ManagedServer[] = [];
  /** Of the instances, by region. */
  readonly #ports = new Map<string, number[]>();
  #ending = false;

  /** @param parts where everything that is started is put, to be ended with the world */
  constructor(options: WorldOptions, cities: readonly City[], dir: string, parts: AsyncDisposableStack) {
    this.#options = options;
    this.#cities = cities;
    this.#dir = dir;
    this.#children = parts.use(new Children());
    this.#children.watchFolder(dir);
    this.cables = parts.use(
      new Cables(cities, (name, state) =>
        options.onEvent?.({ what: "link", name, state: state === "open" ? "up" : state }),
      ),
    );
    // Nothing of it needs an orderly end: its files go with it.
    parts.defer(async () => {
      this.#ending = true;
      await Promise.all(this.#running.map((server) => server.kill()));
    });
    this.secrets = options.secrets ?? {
      token: randomBytes(32).toString("hex"),
      apiKey: randomBytes(32).toString("hex"),
    };
  }

  /** Starts Redis in the first region and a NATS server in each; resolves when those have found each other. */
  async servers(): Promise<void> {
    const [children, dir, cities] = [this.#children, this.#dir, this.#cities];
    const ports = new Map(
      await Promise.all(cities.map(async ({ code }) => [code, await natsPorts()] as const)),
    );
    this.redisPort = await freePort();
    const gateways = new Map(
      await Promise.all(
        cities.map(
          async ({ code }) => [code, await this.cables.layGateway(code, ports.get(code)!.gateway)] as const,
        ),
      ),
    );
    const onChange = this.#tell("redis", cities[0]!.code);
    const more = this.#options.natsConfig ?? "";
    [this.redis, ...this.nats] = await Promise.all([
      this.#run(startRedis(children, { port: this.redisPort, dir, onChange })),
      ...cities.map(({ code: region }) => {
        const onChange = this.#tell("nats", region);
        return this.#run(
          startNats({ region, dir, ports: ports.get(region)!, gateways, more, children, onChange }),
        );
      }),
    ]);
    await formed(this.nats);
    await this.configure(this.#options.config ?? {});
  }

  async configure(config: object): Promise<void> {
    await writeFile(this.#configFile, JSON.stringify(config));
  }

  /** Starts the instances. @param count of each region */
  async regions(count: number): Promise<Region[]> {
    const { port } = this.#options;
    for (const [place, { code }] of this.#cities.entries()) {
      const own = Array.from({ length: count }, (_, index) =>
        port === undefined ? undefined : instancePort(port, place, index, count),
      );
      this.#ports.set(code, await Promise.all(own.map((one) => one ?? freePort())));
    }
    // The first one alone: it makes the streams, which the others copy.
    const maker = await this.#instance(this.#cities[0]!, 0);
    return await Promise.all(
      this.#cities.map(async (city, place) => {
        const indexes = Array.from({ length: count }, (_, index) => index);
        const instances = await Promise.all(
          indexes.map((index) => (place + index === 0 ? maker : this.#instance(city, index))),
        );
        return regionOf(city, this.nats[place]!, instances);
      }),
    );
  }

  async #instance(city: City, index: number) {
    const { command, env } = this.#options;
    const region = city.code;
    const id = `${region}-${index + 1}`;
    const place = this.#cities.indexOf(city);
    const home = this.#cities[0]!.code;
    const toRedis =
      region === home ? this.redisPort : await this.cables.layRedis(region, home, this.redisPort);
    return await this.#run(
      startInstance({
        ...{ id, region, children: this.#children, onChange: this.#tell("instance", id) },
        command: command ?? "serve",
        port: this.#ports.get(region)![index]!,
        env: {
          TRUNKLINE_CONFIG: this.#configFile,
          TRUNKLINE_TOKEN_SECRET: this.secrets.token,
          TRUNKLINE_API_KEYS: this.secrets.apiKey,
          TRUNKLINE_NATS_HOME: home,
          TRUNKLINE_REGIONS: this.#addresses,
          NATS_URL: this.nats[place]!.url,
          REDIS_URL: `redis://${LOOPBACK}:${toRedis}`,
          ...(typeof env === "function" ? env(id) : env),
        },
      }),
    );
  }

  /** The setting `regions`: where clients find each region. */
  get #addresses(): string {
    return [...this.#ports].map(([region, [port]]) => `${region}=http://${LOOPBACK}:${port}`).join(",");
  }

  get #configFile(): string {
    return join(this.#dir, "trunkline.json");
  }

  #tell(what: WorldEvent["what"], name: string): (alive: boolean) => void {
    return (alive) => {
      if (!this.#ending) this.#options.onEvent?.({ what, name, state: alive ? "up" : "down" });
    };
  }

  async #run<S extends ManagedServer>(starting: Promise<S>): Promise<S> {
    const server = await starting;
    this.#running.push(server);
    return server;
  }
}

function regionOf(city: City, nats: Nats & ManagedServer, instances: readonly WorldInstance[]): Region {
  const all = [nats, ...instances];
  return {
    name: city.code,
    city,
    nats,
    instances,
    get state() {
      const alive = all.filter((server) => server.alive).length;
      return alive === all.length ? "up" : alive === 0 ? "down" : "partial";
    },
    async kill() {
      await Promise.all(all.map((server) => server.kill()));
    },
    async heal() {
      await nats.restart();
      await Promise.all(instances.map((instance) => instance.restart()));
    },
  };
}
