import { freePort } from "../../src/process/ports.ts";
import { startWorld, type World } from "../../src/world/world.ts";
import { testClient } from "../helpers/clients.ts";
import {
  type InstanceOptions,
  startInstance,
  TEST_API_KEY,
  type TestInstance,
} from "../helpers/instances.ts";
import { natsServer, redisServer, type TestServer } from "../helpers/servers.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";

/** The region where all streams of a world live, and the one whose instance is looked at. */
export const HOME = "iad";
export const AWAY = "fra";

/** A system with one instance, which a fault is made in. */
export interface Victim {
  readonly stack: AsyncDisposableStack;
  readonly nats: TestServer;
  readonly redis: TestServer;
  instance: TestInstance;
  /** Starts the instance again on its port. */
  restart(): Promise<void>;
}

/** A fault of a world: three regions with an instance each. */
export interface WorldFault {
  readonly alert: string;
  /** What is done. */
  readonly what: string;
  readonly inSettings?: undefined;
  /** Makes the fault; called again and again until the alert fires. */
  readonly makeInWorld: (world: World, round: number) => Promise<unknown>;
}

/** A fault of one instance with what it stands on. */
export interface InstanceFault {
  readonly alert: string;
  /** What is done. */
  readonly what: string;
  readonly options?: InstanceOptions | ((victim: Pick<Victim, "stack">) => Promise<InstanceOptions>);
  /** It is there from the start. */
  readonly inSettings?: true;
  /** What JetStream may take of the disk. */
  readonly maxFile?: string;
  /** Makes the fault; called again and again until the alert fires. */
  readonly make: (victim: Victim, round: number) => Promise<unknown>;
}

export type Fault = InstanceFault | WorldFault;

/** A running system, which a fault is made in. */
export interface Started {
  /** Of the instance that is looked at. */
  readonly url: string;
  make(round: number): Promise<unknown>;
  readonly stack: AsyncDisposableStack;
}

export async function start(fault: Fault): Promise<Started> {
  if (!("makeInWorld" in fault)) {
    const victim = await startVictim(fault);
    return { url: victim.instance.url, make: (round) => fault.make(victim, round), stack: victim.stack };
  }
  const stack = new AsyncDisposableStack();
  const world = stack.use(
    await startWorld({
      regions: [HOME, AWAY, "sin"],
      secrets: { token: TEST_SECRET, apiKey: TEST_API_KEY },
    }),
  );
  const { url } = world.region(AWAY).instances[0]!;
  return { url, make: (round) => fault.makeInWorld(world, round), stack };
}

async function startVictim({ options = {}, maxFile }: InstanceFault): Promise<Victim> {
  const stack = new AsyncDisposableStack();
  const [nats, redis] = [stack.use(await natsServer("", undefined, maxFile)), stack.use(await redisServer())];
  const own = typeof options === "function" ? await options({ stack }) : options;
  const start = async (port: string) =>
    stack.use(
      await startInstance({
        ...own,
        env: { NATS_URL: nats.url, REDIS_URL: redis.url, PORT: port, ...own.env },
      }),
    );
  const victim: Victim = {
    ...{ stack, nats, redis, instance: await start(`${await freePort()}`) },
    async restart() {
      victim.instance = await start(new URL(victim.instance.url).port);
    },
  };
  return victim;
}

/** Does it the first time only. */
export const once =
  <S>(make: (system: S, round: number) => Promise<unknown>) =>
  async (system: S, round: number): Promise<void> => {
    if (round === 0) await make(system, round);
  };

/** A client that is there until the end. */
export async function joined({ stack, instance }: Victim, user: string, channel?: string) {
  const client = stack.use(testClient(instance.websocket, { user }));
  await client.connected();
  if (channel !== undefined) await client.subscribe(channel, { recoverable: true });
  return client;
}
