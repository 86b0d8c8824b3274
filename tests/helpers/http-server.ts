import { CentrifugeDialects } from "../../src/centrifuge/dialect.ts";
import { type Logger, silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import type { GatewayContext } from "../../src/gateway/context.ts";
import type { Handshake } from "../../src/gateway/dialect.ts";
import type { Gateway, Operations } from "../../src/gateway/gateway.ts";
import { Admission, type AdmissionOptions } from "../../src/gateway/instance/admission.ts";
import type { OverloadState } from "../../src/gateway/instance/overload.ts";
import { RegionDirectory } from "../../src/gateway/instance/region-directory.ts";
import type { Oversight } from "../../src/gateway/oversight.ts";
import { type AppDeps, type AppOptions, createApp } from "../../src/http/app.ts";
import type { Assets } from "../../src/http/assets.ts";
import { createMetrics } from "../../src/http/metrics.ts";
import { StreamTransports } from "../../src/http/streams/transports.ts";
import { AppQuotas } from "../../src/pusher/app-quotas.ts";
import { type PusherApp, PusherApps } from "../../src/pusher/apps.ts";
import { PusherConnection } from "../../src/pusher/connection.ts";
import type { PusherContext } from "../../src/pusher/context.ts";
import { bunRuntime } from "../../src/runtime/bun/bun.ts";
import type { Socket, SocketHandler } from "../../src/runtime/runtime.ts";

/** What a test may say and see of the HTTP layer's surroundings. */
interface World {
  broker: { state: "connecting" | "connected" | "disconnected" | "closed"; sinceMs: number };
  presence: "ok" | "degraded";
  overload: OverloadState;
  draining: boolean;
  residentBytes: () => number;
}

/** A process of which little is known. */
export const PROCESS_FIGURES = {
  ...{ cpuSeconds: () => 1.5, startedSeconds: 1_700_000_000 },
  ...{ openDescriptors: () => 12, descriptorLimit: () => 20_000, heapBytes: () => 1_000_000 },
};

/** A gateway that echoes, and gives its place back when a socket ends. */
class EchoHandler implements SocketHandler {
  readonly handshake: Handshake & { readonly protocol: string };
  readonly admission: Admission;
  constructor(handshake: EchoHandler["handshake"], admission: Admission) {
    this.handshake = handshake;
    this.admission = admission;
  }
  opened(socket: Socket): void {
    socket.send(JSON.stringify(this.handshake));
  }
  message(socket: Socket, frame: string | Uint8Array): void {
    socket.send(frame);
  }
  onControlFrame(): void {}
  drained(): void {}
  closed(): void {
    this.admission.release(this.handshake.admissionKey);
  }
}

/** The real HTTP layer on a real server, around a fake gateway. */
export function httpServer(
  setup: {
    options?: Partial<AppOptions>;
    admission?: Partial<AdmissionOptions>;
    operations?: Partial<Operations>;
    assets?: Assets;
    apps?: readonly PusherApp[];
    log?: Logger;
    /** Where operators ask. */
    operators?: Pick<AppDeps, "console" | "reload">;
  } = {},
) {
  const stats = new Stats();
  const admission = new Admission({
    connections: 100,
    connectionsPerIp: 0,
    ratePerIp: undefined,
    ...setup.admission,
  });
  const world: World = {
    broker: { state: "connected", sinceMs: Date.now() },
    presence: "ok",
    overload: "ok",
    draining: false,
    residentBytes: () => 1_000_000,
  };
  const gateway: Gateway = {
    accept: (handshake, { codec }) => new EchoHandler({ ...handshake, protocol: codec.name }, admission),
    get connections() {
      return admission.connections;
    },
    emulate: async () => "unknown",
    operations: { ...setup.operations } as Operations,
    oversight: { audit: () => {} } as Pick<Oversight, "audit"> as Oversight,
    drain: async () => {},
    shed: () => 0,
    sendAway: () => 0,
    blocksAddress: () => false,
  };
  const app = createApp({
    gateway,
    version: "0",
    admission,
    // Never opened: the gateway around them is none.
    centrifuge: new CentrifugeDialects({} as GatewayContext),
    pusherConnection: (app, version) => new PusherConnection({} as PusherContext, app, version),
    apps: new PusherApps(setup.apps ?? []),
    appQuotas: new AppQuotas({ stats, dryRun: false }),
    health: {
      instance: "one",
      draining: () => world.draining,
      broker: () => world.broker,
      overload: () => world.overload,
      storage: () => ({ refusedAtMs: 0, fullStreams: 0 }),
      brokerAwayMs: 1_000,
    },
    metrics: createMetrics({
      stats,
      connections: () => gateway.connections,
      ...{ users: () => 3, namespaces: () => ["chat"], endpoints: () => ["backend"] },
      connectionsLimit: 100,
      overload: () => ({ state: world.overload, delayMs: 12 }),
      residentBytes: () => world.residentBytes(),
      memoryLimitBytes: () => 0,
      runtime: PROCESS_FIGURES,
      certificateExpiresAtMs: () => 0,
      broker: () => world.broker,
      presence: () => ({ state: world.presence }),
      build: { version: "0.0.0", runtime: "bun", region: "here", instance: "one" },
    }),
    assets: setup.assets ?? new Map(),
    ...setup.operators,
    streams: new StreamTransports({ backpressureBytes: 1_048_576, stats }),
    regions: new RegionDirectory({
      here: "here",
      urls: new Map(),
      presence: { instances: async () => ({ instances: [], partial: false }) },
      own: () => ({ instance: "one", region: "here", connections: 0, capacity: 100 }),
    }),
    stats,
    log: setup.log ?? silent,
    options: {
      allowedOrigins: [],
      passedHeaders: [],
      proxy: { kind: "none" },
      compression: { sockets: false, exceptUserAgents: [], streams: "off" },
      apiKeys: ["key-of-sixteen-characters"],
      operatorTokens: [],
      maxRequestBytes: 10_000,
      maxFrameBytes: 65_536,
      publicMetrics: true,
      door: {
        ...{ keptSockets: 1_000, keptSocketsPerIp: 1_000, requestsPerIpPerSecond: 0 },
        tight: () => false,
      },
      ...setup.options,
    },
  });
  const server = bunRuntime().serve({
    hostname: "127.0.0.1",
    port: 0,
    maxFrameBytes: 65_536,
    backpressureBytes: 1_048_576,
    maxRequestBytes: 1_000_000,
    fetch: (request, context) => app.fetch(request, context),
  });
  const host = `127.0.0.1:${server.port}`;
  return {
    app,
    stats,
    admission,
    world,
    host,
    http: `http://${host}`,
    url: `ws://${host}/connection/websocket`,
    async [Symbol.asyncDispose]() {
      await server.close();
    },
  };
}
