import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Children } from "../process/children.ts";
import { freePort, LOOPBACK } from "../process/ports.ts";
import type { City } from "./cities.ts";
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
  /** Tells every instance to drain, and waits for it; to be disposed then. */
  drain(): Promise<void>;
}

type Tell = (what: WorldEvent["what"], name: string) => (alive: boolean) => void;

/** Starts a world, and waits until it takes clients. @throws WorldError, ChildError */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const { regions: wanted = 3, instances: count = 1, latency = "off", onEvent } = options;
  const cities = citiesOf(wanted);
  if (!Number.isInteger(count) || count < 1) throw new WorldError("a region needs at least one instance");
  let ending = false;
  const tell: Tell = (what, name) => (alive) => {
    if (!ending) onEvent?.({ what, name, state: alive ? "up" : "down" });
  };
  await using parts = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), "trunkline-world-"));
  parts.defer(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  const children = parts.use(new Children());
  children.watchFolder(dir);
  const cables = parts.use(
    new Cables(cities, (name, state) =>
      onEvent?.({ what: "link", name, state: state === "open" ? "up" : state }),
    ),
  );
  const running: ManagedServer[] = [];
  // Nothing of it needs an orderly end: its files go with it.
  parts.defer(async () => {
    ending = true;
    await Promise.all(running.map((server) => server.kill()));
  });
  const run = async <S extends ManagedServer>(starting: Promise<S>): Promise<S> => {
    const server = await starting;
    running.push(server);
    return server;
  };

  const secrets = options.secrets ?? {
    token: randomBytes(32).toString("hex"),
    apiKey: randomBytes(32).toString("hex"),
  };
  const ports = new Map(
    await Promise.all(cities.map(async ({ code }) => [code, await natsPorts()] as const)),
  );
  const redisPort = await freePort();
  const [first] = cities;
  const gateways = new Map(
    await Promise.all(
      cities.map(
        async ({ code }) => [code, await cables.layGateway(code, ports.get(code)!.gateway)] as const,
      ),
    ),
  );
  const [redis, ...nats] = await Promise.all([
    run(startRedis(children, { port: redisPort, dir, onChange: tell("redis", first!.code) })),
    ...cities.map(({ code: region }) => {
      const onChange = tell("nats", region);
      const more = options.natsConfig ?? "";
      return run(startNats({ region, dir, ports: ports.get(region)!, gateways, more, children, onChange }));
    }),
  ]);
  const servers = nats.map(({ monitorUrl }, index) => ({ region: cities[index]!.code, monitorUrl }));
  await formed(nats);

  const file = join(dir, "trunkline.json");
  await writeFile(file, JSON.stringify(options.config ?? {}));
  const launch = async (city: City, index: number) => {
    const region = city.code;
    const id = `${region}-${index + 1}`;
    const place = cities.indexOf(city) * count + index;
    const toRedis =
      region === first!.code ? redisPort : await cables.layRedis(region, first!.code, redisPort);
    return await run(
      startInstance({
        id,
        region,
        command: options.command ?? "serve",
        port: options.port === undefined ? await freePort() : options.port + place,
        env: {
          TRUNKLINE_CONFIG: file,
          TRUNKLINE_TOKEN_SECRET: secrets.token,
          TRUNKLINE_API_KEYS: secrets.apiKey,
          TRUNKLINE_NATS_HOME: first!.code,
          NATS_URL: nats[cities.indexOf(city)]!.url,
          REDIS_URL: `redis://${LOOPBACK}:${toRedis}`,
          ...options.env,
        },
        children,
        onChange: tell("instance", id),
      }),
    );
  };
  // The first one alone: it makes the streams, which the others copy.
  const maker = await launch(first!, 0);
  const regions = await Promise.all(
    cities.map(async (city, place) => {
      const indexes = Array.from({ length: count }, (_, index) => index);
      const instances = await Promise.all(
        indexes.map((index) => (place + index === 0 ? maker : launch(city, index))),
      );
      return regionOf(city, nats[place]!, instances);
    }),
  );
  // What has to be agreed on across oceans is quicker while there are none.
  cables.setLatency(latency);
  const kept = parts.move();
  return {
    regions,
    region(name) {
      const found = regions.find((region) => region.name === name);
      if (!found) throw new RangeError(`no region ${name} in this world`);
      return found;
    },
    links: cables,
    redis: {
      url: `redis://${LOOPBACK}:${redisPort}`,
      get alive() {
        return redis.alive;
      },
      start: () => redis.restart(),
      stop: () => redis.kill(),
    },
    secrets,
    metaGroup: () => metaGroup(servers),
    async drain() {
      await Promise.all(regions.flatMap(({ instances }) => instances.map((instance) => instance.term())));
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
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
