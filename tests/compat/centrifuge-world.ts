import { afterAll, beforeAll, describe, test } from "bun:test";
import { connect, type NatsConnection } from "nats";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { natsServer, redisServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { type Kind, LANGUAGE_SDKS, type LanguageSdk } from "./languages.ts";
import { Program, type Told } from "./program.ts";
import { preparedSdks } from "./toolchains.ts";

const OPEN = {
  subscribe: "anyone",
  publish: "authenticated",
  presenceAccess: "authenticated",
  historyAccess: "authenticated",
} as const;
const KEPT = { history: { size: 1000, age: "1h", recoverLimit: 1000 }, recovery: "stream" } as const;

/** Settings of the instances that stock Centrifuge clients of all languages meet. */
const WORLD_CONFIG = {
  namespaces: {
    room: { ...OPEN, ...KEPT, presence: true, joinLeave: "connection" },
    scores: { ...OPEN, ...KEPT, delta: true },
    closed: { subscribe: "token", publish: "token" },
    bytes: { ...OPEN, ...KEPT, format: "binary" },
  },
  ping: { interval: "2s", pongTimeout: "1s" },
  auth: { expiryGrace: "2s" },
} as const;

/** Two instances on one NATS and one Redis, with a service's connection to NATS. */
interface World extends AsyncDisposable {
  readonly a: TestInstance;
  readonly b: TestInstance;
  readonly nats: NatsConnection;
  /** One more instance, which the test ends. */
  another(): Promise<TestInstance>;
}

/** @param config of the instances */
async function startWorld(config: object): Promise<World> {
  const stack = new AsyncDisposableStack();
  const nats = stack.use(await natsServer());
  const redis = stack.use(await redisServer());
  const options = { config, env: { NATS_URL: nats.url, REDIS_URL: redis.url } };
  const a = stack.use(await startInstance(options));
  const b = stack.use(await startInstance(options));
  const service = await connect({ servers: nats.url });
  stack.defer(() => service.close());
  return {
    a,
    b,
    nats: service,
    another: () => startInstance(options),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Registers one feature's scenario. */
export type Feature = (name: string, run: () => Promise<void>) => void;

/** Whole numbers, both ends included. */
export const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => from + at);

let next = 0;

/** A name that no other test uses. */
export const fresh = (start: string) => `${start}t${process.pid}-${next++}`;

/** One client of a program. */
export class Client {
  readonly program: Program;
  readonly name: string;
  readonly user: string;

  constructor(program: Program, name: string, user: string) {
    this.program = program;
    this.name = name;
    this.user = user;
  }

  async do<T = Record<string, unknown>>(what: string, ask: object = {}): Promise<T> {
    return await this.program.do<T>(what, { client: this.name, ...ask });
  }

  all(event: string, like: object = {}): Told[] {
    return this.program.all({ client: this.name, event, ...like });
  }

  async hears(event: string, like: object = {}, count = 1, timeoutMs?: number): Promise<Told[]> {
    return await this.program.hears({ client: this.name, event, ...like }, count, timeoutMs);
  }

  /** Subscribes and waits until the server has said yes. */
  async subscribe(channel: string, options: object = {}): Promise<void> {
    const before = this.all("subscribed", { channel }).length;
    await this.do("subscribe", { channel, ...options });
    await this.hears("subscribed", { channel }, before + 1);
  }

  /** Waits for so many publications of a channel; gives what they hold. */
  async receives(channel: string, count: number, event = "publication"): Promise<unknown[]> {
    return (await this.hears(event, { channel }, count, 30_000)).map(({ data }) => data);
  }
}

/** What scenarios are written with. */
export interface Stage {
  readonly sdk: LanguageSdk;
  readonly protocol: "json" | "protobuf";
  readonly program: () => Program;
  readonly world: () => World;
  /** A client with a token for a user of its own, not connected yet. @param port where it goes; default: instance a */
  readonly client: (options?: ClientOptions) => Promise<Client>;
}

interface ClientOptions {
  readonly user?: string;
  readonly port?: number;
  readonly token?: string;
  readonly tokens?: readonly string[];
  readonly name?: string;
  /** Default: yes. */
  readonly connect?: boolean;
}

/** Registers scenarios for each SDK of a kind that is ready here, once for each of its protocols. */
export async function forEachSdk(
  kind: Kind,
  scenarios: (stage: Stage, feature: Feature) => void,
): Promise<void> {
  const prepared = await preparedSdks();
  for (const sdk of LANGUAGE_SDKS.filter((one) => one.kind === kind)) {
    for (const protocol of sdk.protocols ?? (["json"] as const)) {
      const ready = prepared[sdk.name]!;
      describe.skipIf("missing" in ready)(`${sdk.name} ${protocol}`, () => {
        let world: World;
        let program: Program;
        beforeAll(async () => {
          if ("missing" in ready) return;
          world = await startWorld(WORLD_CONFIG);
          program = new Program(ready);
        }, 60_000);
        afterAll(async () => {
          await program?.[Symbol.asyncDispose]();
          await world?.[Symbol.asyncDispose]();
        });
        const stage: Stage = {
          sdk,
          protocol,
          program: () => program,
          world: () => world,
          client: (options) => makeClient(stage, options),
        };
        scenarios(stage, (name, run) => test.skipIf(sdk.lacks?.includes(name) ?? false)(name, run, 60_000));
      });
    }
  }
}

async function makeClient(stage: Stage, options: ClientOptions = {}): Promise<Client> {
  const { user = fresh("ann"), port, token, tokens, name, connect: now = true } = options;
  const client = new Client(stage.program(), fresh("c"), user);
  await client.do("new", {
    url: port ? `ws://127.0.0.1:${port}/connection/websocket` : stage.world().a.websocket,
    protocol: stage.protocol,
    token: token ?? connectionToken({ user }),
    ...(tokens && { tokens }),
    ...(name && { name }),
  });
  if (now) {
    await client.do("connect");
    await client.hears("connected");
  }
  return client;
}
