import { createHmac } from "node:crypto";
import { connect, headers } from "nats";
import { natsCallouts } from "../../../src/auth/callout/nats.ts";
import { jwtAuthenticator } from "../../../src/auth/jwt/jwt.ts";
import type { Broker } from "../../../src/broker/broker.ts";
import { memoryBroker } from "../../../src/broker/memory/memory.ts";
import { natsBroker } from "../../../src/broker/nats/nats.ts";
import { silent } from "../../../src/core/log.ts";
import type { NamespaceRules } from "../../../src/core/namespace.ts";
import { Stats } from "../../../src/core/stats.ts";
import { serverApi } from "../../../src/http/api.ts";
import { pusherApi } from "../../../src/http/pusher/api.ts";
import { respLink } from "../../../src/presence/redis/link-resp.ts";
import { redisPresence } from "../../../src/presence/redis/redis.ts";
import type { PusherApp } from "../../../src/pusher/apps.ts";
import { PusherApps } from "../../../src/pusher/apps.ts";
import { bodyMd5, requestText, sign } from "../../../src/pusher/signature.ts";
import { SHOP_KEY } from "../../gateway/clients.ts";
import {
  createWorld,
  type FixtureOptions,
  SHOP,
  startGateway,
  type TestGateway,
  webhookOf,
} from "../../gateway/fixture.ts";
import { natsServer, redisServer } from "../servers.ts";
import { TEST_ISSUER, TEST_SECRET } from "../tokens.ts";
import { DoorClient } from "./client.ts";

const OPEN: Partial<NamespaceRules> = {
  ...{ history: { size: 100, ageMs: 60_000, recoverLimit: 10, replicas: 1 }, recovery: "stream" },
  ...{ presence: true, joinLeave: "connection", subscribe: "anyone", publish: "anyone" },
  ...{ presenceAccess: "anyone", historyAccess: "anyone" },
};
const NAMESPACES: Readonly<Record<string, Partial<NamespaceRules>>> = {
  odd: OPEN,
  asked: { ...OPEN, subscribeCallout: true, publishCallout: true },
  shop: { publish: "anyone", subscribe: "anyone" },
};

export const WEBHOOKS = [webhookOf("http://127.0.0.1:9/hook")];

/** One running gateway with all its doors, over some drivers. */
export interface DoorWorld extends AsyncDisposable {
  readonly gateway: TestGateway;
  /** Another member of the cluster: a service. */
  readonly service: Broker;
  /** As any program publishes to a NATS subject. */
  raw(subject: string, body: string): Promise<void>;
  /** Recorded events, as they are written. */
  events(kind: string): Promise<readonly string[]>;
  client(codec: string, transport?: "uni_sse" | "http_stream"): DoorClient;
  /** A connection whose commands come in requests of their own, by its secret name. */
  stream(session: string): DoorClient;
  /** Calls the server API with a body. @returns the body of its answer */
  api(path: string, body: string): Promise<string>;
  pusherApi(path: string, body?: string, query?: string): Promise<string>;
}

/** What differs between drivers. */
type Drivers = Pick<DoorWorld, "service" | "raw" | "events"> & Pick<FixtureOptions, "drivers" | "world">;

const bytes = new TextEncoder();

async function memoryDrivers(): Promise<Drivers & AsyncDisposable> {
  const world = createWorld({ namespaces: NAMESPACES });
  const service = memoryBroker({ bus: world.bus, instance: "service", log: silent, stats: new Stats() });
  await service.start();
  return {
    ...{ world, service },
    raw: async (subject, body) => world.bus.raw(subject, bytes.encode(body), {}),
    events: async (kind) => world.bus.events.filter((one) => one.kind === kind).map(({ text }) => text),
    [Symbol.asyncDispose]: () => service.close(),
  };
}

async function serverDrivers(): Promise<Drivers & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const [nats, redis] = [stack.use(await natsServer()), stack.use(await redisServer())];
  const world = createWorld({ namespaces: NAMESPACES });
  const { namespaces } = world;
  const common = { log: silent, stats: new Stats(), region: "eu" };
  const broker = (instance: string) => natsBroker({ ...common, instance, servers: [nats.url], namespaces });
  const link = respLink({ url: redis.url });
  const load = () => ({ connections: 0, capacity: 1 });
  const presence = redisPresence({ ...common, link, instance: "here", load });
  const service = broker("service");
  await service.start();
  const nc = await connect({ servers: nats.url });
  stack.defer(() => nc.close());
  stack.defer(() => service.close());
  return {
    ...{ world, service, drivers: { broker: broker("here"), presence } },
    async raw(subject, body) {
      nc.publish(subject, bytes.encode(body), { headers: headers() });
      await nc.flush();
    },
    async events(kind) {
      const jsm = await nc.jetstreamManager();
      const last = await jsm.streams
        .getMessage("RT_EVENTS", { last_by_subj: `rtevt.${kind}` })
        .catch(() => null);
      return last ? [new TextDecoder("utf-8", { ignoreBOM: true }).decode(last.data)] : [];
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

export async function doorWorld(kind: "memory" | "servers"): Promise<DoorWorld> {
  const parts = await (kind === "memory" ? memoryDrivers() : serverDrivers());
  const app: PusherApp = { ...SHOP, webhooks: WEBHOOKS };
  const callouts = natsCallouts({
    ...{ rpcBodyBytes: 65_536, region: "eu", instance: "here", stats: new Stats(), log: silent },
    request: (service, name, body, headers = {}) =>
      parts.service.request(service, name, body, { timeoutMs: 2_000, headers }),
  });
  const gateway = await startGateway({
    ...parts,
    app,
    authenticator: jwtAuthenticator({ issuers: [TEST_ISSUER], log: silent }),
    services: () => callouts,
    options: { connectCallout: true, insecure: false },
  });
  const deps = {
    ...{ operations: gateway.gateway.operations, stats: new Stats() },
    ...{ maxRequestBytes: 1e6, log: silent },
  };
  const api = serverApi({ ...deps, keys: ["key"] });
  const pusher = pusherApi({ ...deps, apps: new PusherApps([app]) });
  return {
    ...parts,
    gateway,
    client: (codec, transport) =>
      new DoorClient(
        gateway.centrifuge({ protocol: codec as "centrifuge-json", ...(transport && { transport }) }),
        transport === "uni_sse" ? "centrifuge-json" : codec,
      ),
    stream: (session) =>
      new DoorClient(gateway.centrifuge({ transport: "http_stream", session }), "centrifuge-json"),
    async api(path, body) {
      const init = { method: "POST", headers: { "x-api-key": "key" }, body };
      return await (await api.request(path, init)).text();
    },
    async pusherApi(path, body, query = "") {
      const url = new URL(`http://host/shop${path}?auth_key=${SHOP_KEY.key}&auth_version=1.0${query}`);
      url.searchParams.set("auth_timestamp", String(Math.floor(Date.now() / 1000)));
      if (body !== undefined) url.searchParams.set("body_md5", bodyMd5(body));
      const method = body === undefined ? "GET" : "POST";
      const text = requestText(method, url.pathname, url.searchParams);
      url.searchParams.set("auth_signature", sign(SHOP_KEY.secret, text));
      const response = await pusher.request(url.href, { method, ...(body !== undefined && { body }) });
      return response.ok ? await response.text() : `{"error":${JSON.stringify(await response.text())}}`;
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await parts[Symbol.asyncDispose]();
    },
  };
}

/** A token signed by the tests' secret, with claims as this text says them. */
export function tokenOf(claims: string): string {
  const part = (text: string) => Buffer.from(text).toString("base64url");
  const input = `${part('{"alg":"HS256","typ":"JWT"}')}.${part(claims)}`;
  return `${input}.${createHmac("sha256", TEST_SECRET).update(input).digest("base64url")}`;
}
