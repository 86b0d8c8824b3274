import { fileURLToPath } from "node:url";
import type { Authenticator, Callouts } from "../auth/auth.ts";
import type { Broker } from "../broker/broker.ts";
import type { Config } from "../config.ts";
import type { Logger } from "../core/log.ts";
import type { Stats } from "../core/stats.ts";
import type { GatewayOptions } from "../gateway/context.ts";
import { createGateway } from "../gateway/create.ts";
import { Admission, connectionCap } from "../gateway/instance/admission.ts";
import { IdleCollector } from "../gateway/instance/idle-collector.ts";
import { Overload } from "../gateway/instance/overload.ts";
import { Regions } from "../gateway/instance/region-directory.ts";
import { adminApp } from "../http/admin.ts";
import { createApp, REGION_HEADER } from "../http/app.ts";
import { loadAssets } from "../http/assets.ts";
import { createMetrics } from "../http/metrics.ts";
import { StreamTransports } from "../http/streams/transports.ts";
import type { InstanceLoad, Presence } from "../presence/presence.ts";
import { PusherApps } from "../pusher/apps.ts";
import { Webhooks } from "../pusher/webhook-delivery.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { outboxOptions } from "./outbox.ts";

/** What an instance is made of; all of it is started and closed by the instance. */
export interface InstanceParts {
  readonly config: Config;
  readonly version: string;
  readonly runtime: Runtime;
  readonly broker: Broker;
  readonly presence: (load: () => InstanceLoad) => Presence;
  readonly authenticator: Authenticator;
  readonly callouts: Callouts;
  /** Answers requests the product itself has no answer for (`trunkline dev`). */
  readonly extra?: (request: Request) => Promise<Response> | undefined;
  /** One of several workers that listen on the same port. */
  readonly worker?: boolean;
  readonly log: Logger;
  readonly stats: Stats;
}

export interface Instance {
  /** Where it listens, `http://host:port`. */
  readonly url: string;
  /**
   * Leaves in order: not ready → connections closed in paced waves → departures told → drivers closed → port released.
   * Idempotent.
   */
  shutdown(): Promise<void>;
}

/** Most connections let go in one step of shedding, as a share of all. */
const SHED_SHARE = 0.02;
const SHED_EVERY_MS = 1_000;
const IDLE_COLLECTOR_TICK_MS = 1_000;

/** Starts everything, the port last. What fails to start closes what was started before it. */
export async function startInstance(parts: InstanceParts): Promise<Instance> {
  const { config, runtime, broker, authenticator, stats, log } = parts;
  const started: { close(): Promise<void> }[] = [];
  try {
    await broker.start();
    started.unshift(broker);
    const apps = new PusherApps(config.apps);
    const kept = outboxOptions(config);
    const outbox = kept && (await broker.outbox(kept));
    if (outbox) {
      started.unshift(outbox);
      const { maxAgeMs, timeoutMs } = config.webhooks;
      started.unshift(
        new Webhooks({ apps, outbox, maxAgeMs, timeoutMs, stats, log: log.with({ at: "webhooks" }) }),
      );
    }
    await authenticator.start();
    started.unshift(authenticator);

    const cap = connectionCap(config.limits.connections, runtime.descriptorLimit());
    const admission = new Admission({
      connections: cap,
      connectionsPerIp: config.limits.connectionsPerIp,
      ratePerIp:
        config.limits.connectsPerIpPerSecond > 0
          ? { perSecond: config.limits.connectsPerIpPerSecond, burst: config.limits.connectsPerIpBurst }
          : undefined,
    });
    const overload = new Overload({
      limits: {
        delayMs: config.overload.eventLoopDelayMs,
        residentBytes: config.overload.memoryBytes,
        bytesOutPerSecond: config.overload.bytesOutPerSecond,
      },
      residentBytes: runtime.residentBytes,
      bytesOut: () => stats.bytesOut,
    });
    const streams = new StreamTransports({ backpressureBytes: config.limits.backpressureBytes, stats });
    let draining = false;
    const presence = parts.presence(() => ({
      connections: gateway.connections,
      capacity: draining || overload.state === "refusing" ? 0 : cap,
    }));
    const gateway = createGateway({
      instance: config.instanceId,
      region: config.region,
      version: parts.version,
      options: gatewayOptions(config),
      namespaces: config.namespaces,
      broker,
      presence,
      authenticator,
      callouts: parts.callouts,
      apps,
      outbox,
      fanout: {
        publish: (topic, frame) =>
          streams.topics.size > 0 && streams.topics.has(topic)
            ? streams.topics.publish(topic, frame)
            : server.publish(topic, frame),
      },
      overloaded: () => overload.state !== "ok",
      release: (key) => admission.release(key),
      stats,
      log: log.with({ at: "gateway" }),
    });
    await presence.start();
    started.unshift(presence);

    const health = {
      draining: () => draining,
      broker: () => broker.status(),
      overload: () => overload.state,
      brokerAwayMs: config.health.natsAwayMs,
    };
    const metrics = createMetrics({
      stats,
      connections: () => gateway.connections,
      connectionsLimit: cap,
      overload: () => ({ state: overload.state, delayMs: overload.delayMs }),
      residentBytes: runtime.residentBytes,
      broker: () => broker.status(),
      presence: () => presence.status(),
      build: {
        version: parts.version,
        runtime: `${runtime.name} ${runtime.version}`,
        region: config.region,
        instance: config.instanceId,
      },
    });
    const app = createApp({
      gateway,
      apps,
      admission,
      health,
      metrics,
      regions: new Regions({
        here: config.region,
        urls: new Map(config.regions.map((entry) => entry.split("=", 2) as [string, string])),
        presence,
      }),
      assets: await loadAssets(fileURLToPath(new URL("../console", import.meta.url).href)),
      streams,
      stats,
      log,
      options: {
        allowedOrigins: config.http.allowedOrigins,
        proxy: proxyTrust(config),
        apiKeys: config.api.keys,
        maxRequestBytes: config.http.maxRequestBytes,
        maxFrameBytes: config.limits.frameBytes,
        ...(config.http.metricsToken && { metricsToken: config.http.metricsToken }),
      },
    });

    gateway.start();
    started.unshift(gateway);
    overload.start();
    const shedding = setInterval(() => {
      if (overload.letsGo) gateway.shed(Math.ceil(gateway.connections * SHED_SHARE));
    }, SHED_EVERY_MS);
    const idleCollector = new IdleCollector({
      changes: () => stats.connects + stats.disconnects,
      connections: () => gateway.connections,
      overloaded: () => overload.state !== "ok",
      publications: () => stats.publicationsOut,
      collect: runtime.collect,
    });
    const tidying = setInterval(() => idleCollector.tick(), IDLE_COLLECTOR_TICK_MS);
    overload.onChange((state) => log.warn("overload", { state, delayMs: Math.round(overload.delayMs) }));

    const bounds = {
      maxFrameBytes: config.limits.frameBytes,
      backpressureBytes: config.limits.backpressureBytes,
      maxRequestBytes: config.http.maxRequestBytes,
    };
    if (config.admin.port > 0) {
      const admin = adminApp({ health, metrics, metricsToken: config.http.metricsToken });
      const { host: hostname, port } = config.admin;
      const second = runtime.serve({ hostname, port, ...bounds, fetch: (request) => admin.fetch(request) });
      started.push(second);
    }
    const server = runtime.serve({
      hostname: config.host,
      port: config.port,
      reusePort: parts.worker ?? false,
      upgradeHeaders: { [REGION_HEADER]: config.region },
      ...bounds,
      fetch: (request, context) => parts.extra?.(request) ?? app.fetch(request, context),
    });
    const url = `http://${server.hostname.includes(":") ? `[${server.hostname}]` : server.hostname}:${server.port}`;
    log.info(parts.worker ? "worker listening" : "listening", {
      url,
      instance: config.instanceId,
      region: config.region,
      runtime: `${runtime.name} ${runtime.version}`,
      connections: cap,
    });

    let leaving: Promise<void> | undefined;
    const leave = async () => {
      draining = true;
      const { ratePerSecond, deadlineMs } = config.drain;
      log.info("draining", { connections: gateway.connections, ratePerSecond, deadlineMs });
      const begin = performance.now();
      await gateway.drain({ ratePerSecond, deadlineMs });
      clearInterval(shedding);
      clearInterval(tidying);
      overload.stop();
      server.stopListening();
      for (const one of started) {
        await one.close().catch((error: unknown) => log.error("closing", { error }));
      }
      await server.close();
      log.info("drained", { ms: Math.round(performance.now() - begin) });
    };
    return {
      url,
      shutdown: () => {
        leaving ??= leave();
        return leaving;
      },
    };
  } catch (error) {
    for (const one of started) await one.close().catch(() => {});
    throw error;
  }
}

function gatewayOptions(config: Config): GatewayOptions {
  const { auth, limits, ping, rpc, channels } = config;
  return {
    anonymous: auth.anonymous,
    connectCallout: auth.connectCallout,
    insecure: config.insecure,
    connectDeadlineMs: limits.connectDeadlineMs,
    pingIntervalMs: ping.intervalMs,
    pongTimeoutMs: ping.pongTimeoutMs,
    expiryGraceMs: auth.expiryGraceMs,
    commandsPerSecond: limits.commandsPerSecond,
    bytesPerSecond: limits.bytesPerSecond,
    pendingCommands: limits.pendingCommands,
    channelsPerConnection: limits.channels,
    everyone: channels.everyone,
    connectionsPerUser: limits.connectionsPerUser,
    newestWins: limits.newestWins,
    rpcTimeoutMs: rpc.timeoutMs,
    rpcMaxBytes: rpc.bodyBytes,
    backpressureBytes: limits.backpressureBytes,
    lingerMs: channels.lingerMs,
    ringChannelBytes: channels.ringBytes,
    ringTotalBytes: channels.ringTotalBytes,
  };
}

function proxyTrust({ proxy }: Config) {
  if (proxy.trust !== "header") return { kind: proxy.trust };
  return { kind: proxy.trust, header: proxy.header, cidrs: proxy.cidrs, hops: proxy.hops };
}
