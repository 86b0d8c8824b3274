import type { Authenticator, Callouts, FindCallouts } from "../../src/auth/auth.ts";
import { natsCallouts } from "../../src/auth/callout/nats.ts";
import type { Broker } from "../../src/broker/broker.ts";
import { memoryBroker, memoryBus } from "../../src/broker/memory/memory.ts";
import type { Outbox } from "../../src/broker/outbox.ts";
import { tracedBroker } from "../../src/broker/traced.ts";
import { CentrifugeDialects } from "../../src/centrifuge/dialect.ts";
import { createLogger } from "../../src/core/log.ts";
import { NAMESPACE_DEFAULTS, type NamespaceRules } from "../../src/core/namespace.ts";
import { Stats } from "../../src/core/stats.ts";
import type { Tracing } from "../../src/core/tracing.ts";
import type { GatewayOptions } from "../../src/gateway/context.ts";
import { createGateway } from "../../src/gateway/create.ts";
import type { Dialect, Handshake } from "../../src/gateway/dialect.ts";
import type { Session } from "../../src/gateway/session/session.ts";
import { memoryPresence, memoryPresenceHub } from "../../src/presence/memory/memory.ts";
import type { Presence } from "../../src/presence/presence.ts";
import { AppQuotas } from "../../src/pusher/app-quotas.ts";
import { type PusherApp, PusherApps, type PusherWebhook } from "../../src/pusher/apps.ts";
import { Pusher } from "../../src/pusher/pusher.ts";
import { WebhookEventRecorder } from "../../src/webhooks/event-recorder.ts";
import type { EventEndpoint } from "../../src/webhooks/event-target.ts";
import { expectEvent } from "../helpers/events.ts";
import { fakeAuthenticator, noCallouts, token } from "./auth.ts";
import {
  type CentrifugeHandshake,
  SHOP_KEY,
  TestCentrifuge,
  TestPusher,
  TestSocket,
  Topics,
} from "./clients.ts";
import { Gate } from "./gate.ts";

const KEPT = { size: 100, ageMs: 60_000, recoverLimit: 10, replicas: 1 };

/** The namespaces of most tests; a test adds to them or changes them. */
const NAMESPACES: Readonly<Record<string, Partial<NamespaceRules>>> = {
  chat: {
    ...{ history: KEPT, recovery: "stream", presence: true, joinLeave: "connection" },
    ...{ publish: "subscriber", presenceGraceMs: 1_000 },
  },
  live: { subscribe: "anyone", publish: "anyone" },
  user: { history: KEPT, recovery: "stream" },
  shop: {
    history: KEPT,
    recovery: "stream",
    presence: true,
    joinLeave: "user",
    publish: "authenticated",
    presenceGraceMs: 1_000,
  },
};

const OPTIONS: GatewayOptions = {
  ...{ anonymous: true, connectCallout: false, refreshCallout: false, insecure: false },
  ...{ rpcCallouts: {}, emulatedHeaders: [], expiryGraceMs: 1_000 },
  ...{ connectDeadlineMs: 5_000, pingIntervalMs: 25_000, pongTimeoutMs: 8_000 },
  ...{ commandsPerSecond: 0, bytesPerSecond: 0, pendingCommands: 100, channels: 100 },
  ...{ everyone: [], connectionsPerUser: 0, newestWins: "off", rpcBodyBytes: 65_536 },
  ...{ commandsPerUserPerSecond: 0, publishesPerUserPerSecond: 0, publishBytesPerUserPerSecond: 0 },
  ...{ newChannelsPerUserPerMinute: 0, callsPerUser: 0, callsPerNamespace: 0 },
  ...{ recoveryBytesPerUserPerSecond: 0, bytesInPerUserPerSecond: 0, answerBytesPerUserPerSecond: 0 },
  ...{ liveChannels: 0, dryRun: false },
  ...{ historyBytes: 33_554_432, historyPerUserBytes: 4_194_304 },
  ...{
    backpressureBytes: 1_048_576,
    lingerMs: 1_000,
    connectionLinesPerSecond: 0,
    tracePayloads: true,
    ringBytes: 262_144,
    ringTotalBytes: 1e9,
  },
};

export const SHOP: PusherApp = {
  ...{ id: "shop", keys: [SHOP_KEY], namespace: "shop", enabled: true, webhooks: [] },
  ...{ clientEvents: true, subscriptionCount: false },
  limits: {
    ...{ presenceMembers: 3, userInfoBytes: 1_024, eventBytes: 1_024, channelName: 200 },
    ...{ clientEventsPerSecond: 0, channels: 100, connections: 0, authorizationTimeoutMs: 0 },
    messagesPerSecond: 0,
  },
};

/** A webhook of an app, with what the settings would make of the rest. */
export const webhookOf = (url: string, more: Partial<PusherWebhook> = {}): PusherWebhook => ({
  ...{ url, events: [], channelPrefix: "", batch: false, headers: {} },
  ...more,
});

export interface FixtureOptions {
  /** With other gateways of it, instances of one deployment. */
  readonly world?: World;
  readonly instance?: string;
  readonly options?: Partial<GatewayOptions>;
  readonly namespaces?: Readonly<Record<string, Partial<NamespaceRules>>>;
  readonly app?: Partial<PusherApp>;
  /** Default: tokens made by {@link token}. */
  readonly authenticator?: Authenticator;
  readonly callouts?: Partial<Callouts>;
  /** In place of them: whom the settings name. */
  readonly services?: FindCallouts;
  /** How long services may take to answer an RPC, ms. */
  readonly rpcTimeoutMs?: number;
  readonly overloaded?: () => boolean;
  /** Told of events over HTTP, once a test delivers what the outbox holds. */
  readonly endpoints?: readonly EventEndpoint[];
  /** In place of those in memory; not started yet, and closed with the gateway. */
  readonly tracing?: Tracing;
  readonly drivers?: { readonly broker?: Broker; readonly presence?: Presence };
}

/** What instances share in place of a NATS and a Redis. */
type World = ReturnType<typeof createWorld>;

export function createWorld({ namespaces: changes = {} }: Pick<FixtureOptions, "namespaces"> = {}) {
  const namespaces = new Map(
    Object.entries({ ...NAMESPACES, ...changes }).map(([name, rules]) => [
      name,
      { ...NAMESPACE_DEFAULTS, ...NAMESPACES[name], ...rules, name },
    ]),
  );
  return { namespaces, bus: memoryBus({ namespaces }), presence: memoryPresenceHub() };
}

export type TestGateway = Awaited<ReturnType<typeof startGateway>>;

/** A gateway in the test's own process; memory drivers, sockets of arrays. Released with `await using`. */
export async function startGateway(fixture: FixtureOptions = {}) {
  const { world = createWorld(fixture), instance = "here" } = fixture;
  const stats = new Stats();
  const logged: { level: string; message: string }[] = [];
  const log = createLogger("debug", (line) => logged.push(line));
  const broker = new Gate<Broker>(
    fixture.drivers?.broker ?? memoryBroker({ bus: world.bus, instance, log, stats }),
  );
  const { tracing } = fixture;
  /** As an instance uses it. */
  const port = tracing ? tracedBroker(broker.port, { tracing, stats }) : broker.port;
  const load = () => ({ connections: 0, capacity: 1_000 });
  const presence = new Gate<Presence>(
    fixture.drivers?.presence ??
      memoryPresence({ hub: world.presence, instance, region: "eu", log, stats, load }),
  );
  const authenticator = new Gate<Authenticator>(fixture.authenticator ?? fakeAuthenticator);
  const nats = natsCallouts({
    ...{
      rpcBodyBytes: fixture.options?.rpcBodyBytes ?? OPTIONS.rpcBodyBytes,
      region: "eu",
      instance,
      stats,
      log,
    },
    request: (service, name, body, headers = {}) =>
      port.request(service, name, body, { timeoutMs: fixture.rpcTimeoutMs ?? 1_000, headers }),
  });
  const callouts = new Gate<Callouts>({
    ...noCallouts,
    rpc: (question) => nats.rpc(question),
    ...fixture.callouts,
  });
  const app: PusherApp = { ...SHOP, ...fixture.app };
  const topics = new Topics();
  const released: string[] = [];

  await broker.port.start();
  await authenticator.port.start();
  const endpoints = fixture.endpoints ?? [];
  const outbox: Outbox | undefined =
    app.webhooks.length + endpoints.length === 0
      ? undefined
      : await broker.port.outbox({ maxAgeMs: 6e5, maxItems: 1_000, leaseTtlMs: 6e4, leaseRenewMs: 2e4 });
  const pusher = new Pusher({
    ...{ apps: new PusherApps([app]), outbox, log, fanout: topics },
    tracing,
    quotas: new AppQuotas({ stats, dryRun: fixture.options?.dryRun ?? false }),
    ...{ broker: port, presence: presence.port },
  });
  const gateway = createGateway({
    ...{ instance, region: "eu", version: "0", namespaces: world.namespaces, stats, tracing, log },
    connectionLog: log.with({ at: "connections" }),
    ...{ broker: port, presence: presence.port },
    ...{ authenticator: authenticator.port, callouts: fixture.services ?? (() => callouts.port) },
    options: { ...OPTIONS, ...fixture.options },
    ...{ policy: pusher, membership: pusher },
    recorder: outbox && new WebhookEventRecorder(port, outbox, endpoints, tracing),
    fanout: topics,
    overloaded: fixture.overloaded ?? (() => false),
    vitals: () => ({
      ...{ connectionsLimit: 1_000, draining: false, overload: "ok", unready: [] },
      ...{ loopDelayMs: 1, residentBytes: 1_000_000 },
    }),
    release: (key) => released.push(key),
  });
  await presence.port.start();
  const centrifuge = new CentrifugeDialects(gateway.context);
  const pusherConnection = pusher.connections(gateway.context);
  pusher.start();
  gateway.start();

  const open = (handshake: Partial<Handshake>, dialect: Dialect<Session>) =>
    new TestSocket(
      gateway.accept(
        { ip: "192.0.2.1", admissionKey: "192.0.2.1", ...handshake },
        dialect,
      ) as TestSocket["data"],
      topics,
    );

  const running = {
    ...{ pusherApp: app, pusherUsers: pusher.channelUsers, appQuotas: pusher.quotas },
    ...{ gateway, world, broker, presence, authenticator, callouts, stats, logged, released, topics, outbox },

    /** A client of the Centrifuge protocol that has said nothing yet. */
    centrifuge: (handshake: CentrifugeHandshake = {}) => {
      const { protocol = "centrifuge-json", transport, ...rest } = handshake;
      const dialect = transport ? centrifuge.stream(transport, protocol) : centrifuge.socket(protocol);
      return new TestCentrifuge(open({ ...rest, transport }, dialect), protocol);
    },

    /** The same, connected: anonymous, or as a user. */
    async connect(user = "", claims: object = {}, handshake: CentrifugeHandshake = {}) {
      const client = running.centrifuge(handshake);
      const answer = await client.ask({ connect: user === "" ? {} : { token: token({ user, ...claims }) } });
      return Object.assign(client, { answer, id: answer.client as string });
    },

    /** A client of the Pusher protocol. */
    pusher: (protocol = 7) => new TestPusher(open({}, pusherConnection(app, protocol))),

    async [Symbol.asyncDispose]() {
      for (const gate of [broker, presence, authenticator, callouts]) gate.openAll();
      await gateway.close();
      await pusher.close();
      await outbox?.close();
      await presence.port.close();
      await broker.port.close();
      for (const { event } of world.bus.events) expectEvent(event);
    },
  };
  return running;
}
