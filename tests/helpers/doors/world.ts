import { createHmac } from "node:crypto";
import { connect, headers } from "nats";
import { natsCallouts } from "../../../src/auth/callout/nats.ts";
import { jwtAuthenticator } from "../../../src/auth/jwt/jwt.ts";
import type { Broker } from "../../../src/broker/broker.ts";
import { memoryBroker } from "../../../src/broker/memory/memory.ts";
import { natsBroker } from "../../../src/broker/nats/nats.ts";
import { silent } from "../../../src/core/log.ts";
import { Stats } from "../../../src/core/stats.ts";
import { serverApi } from "../../../src/http/api.ts";
import { pusherApi } from "../../../src/http/pusher/api.ts";
import { respLink } from "../../../src/presence/redis/link-resp.ts";
import { redisPresence } from "../../../src/presence/redis/redis.ts";
import type { StreamTransport } from "../../../src/protocol/centrifuge/stream-codecs.ts";
import type { Frame } from "../../../src/protocol/codec.ts";
import type { PusherApp } from "../../../src/pusher/apps.ts";
import { PusherApps } from "../../../src/pusher/apps.ts";
import { bodyMd5, requestText, sign } from "../../../src/pusher/signature.ts";
import { pusherTargets } from "../../../src/pusher/webhook-target.ts";
import { AddressGuard } from "../../../src/webhooks/address-guard.ts";
import { Webhooks } from "../../../src/webhooks/delivery.ts";
import { eventTarget } from "../../../src/webhooks/event-target.ts";
import { SHOP_KEY, type TestPusher } from "../../gateway/clients.ts";
import { createWorld, type FixtureOptions, SHOP, startGateway, webhookOf } from "../../gateway/fixture.ts";
import { natsServer, redisServer } from "../servers.ts";
import { TEST_ISSUER, TEST_SECRET } from "../tokens.ts";
import { DoorClient } from "./client.ts";
import { NAMESPACE_RULES } from "./namespaces.ts";
import { WebhookReceiver } from "./webhooks.ts";

/** A running gateway with all its doors, over some drivers. */
export interface DoorWorld extends AsyncDisposable {
  /** Another member of the cluster: a service. */
  readonly service: Broker;
  /** As any program publishes to a NATS subject. */
  raw(subject: string, body: string): Promise<void>;
  /** Recorded events, as they are written. */
  events(kind: string): readonly string[];
  /** @param transport default: WebSocket */
  client(codec: string, transport?: StreamTransport): DoorClient;
  /** A connection whose commands, but the first, come in requests of their own. */
  emulated(): DoorClient;
  pusher(): Promise<TestPusher>;
  /** Calls the server API with a body. @returns the body of its answer */
  api(path: string, body: string): Promise<string>;
  pusherApi(path: string, body?: string, query?: string): Promise<string>;
  readonly webhooks: WebhookReceiver;
  /** Ends all clients so far. */
  endClients(): void;
}

/** What differs between drivers. */
type Drivers = Pick<DoorWorld, "service" | "raw" | "events"> & Pick<FixtureOptions, "drivers" | "world">;

const bytes = new TextEncoder();

async function memoryDrivers(): Promise<Drivers & AsyncDisposable> {
  const world = createWorld({ namespaces: NAMESPACE_RULES });
  const service = memoryBroker({ bus: world.bus, instance: "service", log: silent, stats: new Stats() });
  await service.start();
  return {
    ...{ world, service },
    raw: async (subject, body) => world.bus.raw(subject, bytes.encode(body), {}),
    events: (kind) => world.bus.events.filter((one) => one.kind === kind).map(({ text }) => text),
    [Symbol.asyncDispose]: () => service.close(),
  };
}

/** What stands beside a gateway in NATS. @param namespaces of the service's broker */
export async function natsSide(
  url: string,
  namespaces: ReturnType<typeof createWorld>["namespaces"],
): Promise<Pick<DoorWorld, "service" | "raw" | "events"> & AsyncDisposable> {
  const common = { log: silent, stats: new Stats(), region: "eu", namespaces };
  const service = natsBroker({ ...common, instance: "service", servers: [url] });
  const nc = await connect({ servers: url });
  const events = new Map<string, string[]>();
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  nc.subscribe("rtevt.*", {
    callback(_, { subject, data }) {
      const kind = subject.slice("rtevt.".length);
      events.set(kind, [...(events.get(kind) ?? []), utf8.decode(data)]);
    },
  });
  await service.start();
  return {
    service,
    async raw(subject, body) {
      nc.publish(subject, bytes.encode(body), { headers: headers() });
      await nc.flush();
    },
    events: (kind) => events.get(kind) ?? [],
    async [Symbol.asyncDispose]() {
      await service.close();
      await nc.close();
    },
  };
}

async function serverDrivers(): Promise<Drivers & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const [nats, redis] = [stack.use(await natsServer()), stack.use(await redisServer())];
  const world = createWorld({ namespaces: NAMESPACE_RULES });
  const common = { log: silent, stats: new Stats(), region: "eu", instance: "here" };
  const side = stack.use(await natsSide(nats.url, world.namespaces));
  const broker = natsBroker({ ...common, servers: [nats.url], namespaces: world.namespaces });
  const load = () => ({ connections: 0, capacity: 1 });
  const presence = redisPresence({ ...common, link: respLink({ url: redis.url }), load });
  return {
    ...{ world, drivers: { broker, presence } },
    ...{ service: side.service, raw: side.raw, events: side.events },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** A gateway in the test's own process. */
export async function doorWorld(kind: "memory" | "servers"): Promise<DoorWorld> {
  const stack = new AsyncDisposableStack();
  const parts = stack.use(await (kind === "memory" ? memoryDrivers() : serverDrivers()));
  const webhooks = stack.use(new WebhookReceiver());
  const app: PusherApp = { ...SHOP, webhooks: [webhookOf(webhooks.url)] };
  const callouts = natsCallouts({
    ...{ rpcBodyBytes: 65_536, region: "eu", instance: "here", stats: new Stats(), log: silent },
    request: (service, name, body, headers = {}) =>
      parts.service.request(service, name, body, { timeoutMs: 2_000, headers }),
  });
  const gateway = stack.use(
    await startGateway({
      ...parts,
      app,
      endpoints: [webhooks.endpoint],
      authenticator: jwtAuthenticator({ issuers: [TEST_ISSUER], log: silent }),
      services: () => callouts,
      options: { connectCallout: true, insecure: false },
    }),
  );
  const apps = new PusherApps([app]);
  const { outbox, stats } = gateway;
  const sending = new Webhooks({
    targets: [...pusherTargets(apps), eventTarget(webhooks.endpoint)],
    guard: new AddressGuard(["127.0.0.0/8"]),
    ...{ outbox: outbox!, maxAgeMs: 60_000, timeoutMs: 5_000, tries: 3, stats, log: silent },
  });
  stack.defer(() => sending.close());
  const deps = {
    ...{ operations: gateway.gateway.operations, stats: new Stats() },
    ...{ maxRequestBytes: 1e6, version: "0", log: silent },
  };
  const api = serverApi({ ...deps, keys: ["key"] });
  const pusher = pusherApi({ ...deps, apps, appQuotas: gateway.appQuotas });
  return {
    ...parts,
    webhooks,
    client: (codec, transport) =>
      new DoorClient(
        gateway.centrifuge({ protocol: codec as "centrifuge-json", ...(transport && { transport }) }),
        codec,
      ),
    emulated() {
      const session = crypto.randomUUID();
      const client = gateway.centrifuge({ transport: "http_stream", session });
      let begun = false;
      return new DoorClient(client, "centrifuge-json", (frame: Frame) => {
        const commands = { session, node: "here", data: frame as string };
        if (begun) void gateway.gateway.emulate(commands, "192.0.2.1");
        else client.socket.data.message(client.socket, frame);
        begun = true;
      });
    },
    pusher: async () => gateway.pusher(),
    async api(path, body) {
      const init = { method: "POST", headers: { "x-api-key": "key" }, body };
      return await (await api.request(path, init)).text();
    },
    async pusherApi(path, body, query) {
      const { url, ...init } = pusherRequest("http://host", `/shop${path}`, body, query);
      const response = await pusher.request(url, init);
      return response.ok ? await response.text() : `{"error":${JSON.stringify(await response.text())}}`;
    },
    endClients() {},
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** A signed request to the HTTP API of the Pusher protocol. */
export function pusherRequest(base: string, path: string, body: string | undefined, query = "") {
  const url = new URL(`${base}${path}?auth_key=${SHOP_KEY.key}&auth_version=1.0${query}`);
  url.searchParams.set("auth_timestamp", String(Math.floor(Date.now() / 1000)));
  if (body !== undefined) url.searchParams.set("body_md5", bodyMd5(body));
  const method = body === undefined ? "GET" : "POST";
  url.searchParams.set(
    "auth_signature",
    sign(SHOP_KEY.secret, requestText(method, url.pathname, url.searchParams)),
  );
  return { url: url.href, method, ...(body !== undefined && { body }) };
}

/** A token signed by the tests' secret, with claims as this text says them. */
export function tokenOf(claims: string): string {
  const part = (text: string) => Buffer.from(text).toString("base64url");
  const input = `${part('{"alg":"HS256","typ":"JWT"}')}.${part(claims)}`;
  return `${input}.${createHmac("sha256", TEST_SECRET).update(input).digest("base64url")}`;
}
