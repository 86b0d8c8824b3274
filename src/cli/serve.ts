import process from "node:process";
import type { FindCallouts } from "../auth/auth.ts";
import { findCallouts } from "../auth/callout/find.ts";
import { natsCallouts, type ServiceRequest } from "../auth/callout/nats.ts";
import { jwtAuthenticator } from "../auth/jwt/jwt.ts";
import type { Broker } from "../broker/broker.ts";
import type { MemoryBus } from "../broker/memory/bus.ts";
import { memoryBroker, memoryBus } from "../broker/memory/memory.ts";
import { natsBroker } from "../broker/nats/nats.ts";
import { tracedBroker } from "../broker/traced.ts";
import type { Config } from "../config.ts";
import type { Logger } from "../core/log.ts";
import { Stats } from "../core/stats.ts";
import { connectionCap } from "../gateway/instance/admission.ts";
import { memoryPresence, memoryPresenceHub } from "../presence/memory/memory.ts";
import type { InstanceLoad, Presence } from "../presence/presence.ts";
import { clusterPresence } from "../presence/redis/cluster.ts";
import { redisPresence } from "../presence/redis/redis.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type OpenTracing, openTracing } from "../tracing/open.ts";
import { withTraceIds } from "../tracing/traced-log.ts";
import { connectionLogger, consoleLogger } from "./console-log.ts";
import { detectRuntime } from "./detect-runtime.ts";
import { httpEndpoints, natsAddress, redisWay, tokenIssuers } from "./drivers.ts";
import { startInstance } from "./instance.ts";
import type { Instance, InstanceParts } from "./instance-parts.ts";
import { paint, printError } from "./output.ts";
import { reloadingDrivers } from "./reload/drivers.ts";
import { type ReloadOptions, Reloads } from "./reload/reloads.ts";
import type { WorkerReloads } from "./reload/worker.ts";
import { isBare, warnOfLimits } from "./settings.ts";
import { ignoreSignals } from "./signals.ts";

/** Events that may wait beside one for each connection, and how many connections are reckoned with. */
const EVENTS = 10_000;
const MOST_CONNECTIONS = 1_000_000;

export interface RunOptions
  extends Pick<InstanceParts, "version" | "extra" | "openConsole" | "metricsOfAll">,
    ReloadOptions {
  /** Number of one of several workers that listen on the same port. */
  readonly worker?: number;
  readonly started?: (instance: Instance) => void;
  /** Hands over ways to tell the instance something, beside signals; before it starts. */
  readonly told?: (leave: () => void, reloads: WorkerReloads | undefined) => void;
  /** Leave when the terminal closes, too (SIGHUP); otherwise that is logged, and nothing else. */
  readonly endsWithTerminal?: boolean;
}

interface PartsOptions
  extends Pick<RunOptions, "version" | "worker" | "extra" | "openConsole" | "metricsOfAll">,
    Pick<InstanceParts, "reload"> {
  /** Wraps whoever serves in NATS: what it answers itself is not asked there. */
  readonly services?: (nats: ServiceRequest, timeoutMs: number) => ServiceRequest;
  /** In place of a bus of its own, where broker and history are in memory. */
  readonly bus?: MemoryBus;
}

/** Builds the drivers the settings ask for, runs an instance on them, and leaves in order when told to. */
export async function run(given: Config, options: RunOptions): Promise<void> {
  const runtime = await detectRuntime();
  const config = options.asWorker?.(given) ?? given;
  const log = consoleLogger(config, options.worker);
  if (config.insecure) warnOfInsecurity(log);
  // A supervisor has said it for all of its workers.
  if (options.worker === undefined) warnOfLimits(config, log);
  if (runtime.needsProxy && isBare(config)) log.warn(runtime.needsProxy, { see: "docs/operations.md" });
  // Told to leave while it starts, an instance closes what it has started and goes.
  const leave = new AbortController();
  const reloads = new Reloads(given, options, log);
  const removeSignals = listenToSignals(leave, runtime, log, {
    hangups: options.endsWithTerminal ?? false,
    reload: () => reloads.signalled(),
  });
  options.told?.(() => leave.abort(), reloads.ofSupervisor);
  const parts = await buildParts(config, { ...options, reload: reloads.reload }, runtime, log);
  const instance = await startInstance(parts, leave.signal).catch((error: unknown) => {
    removeSignals();
    if (error !== leave.signal.reason) throw error;
    log.info("stopped while starting");
    return runtime.exit(0);
  });
  reloads.start(instance);
  // What only the start needed, code too: nothing else would ever make an instance without clients give it back.
  runtime.collect(false);
  options.started?.(instance);
  await aborted(leave.signal);
  reloads.stop();
  await instance.shutdown();
  runtime.exit(0);
}

/** What an instance is made of, by its settings; nothing is started yet. */
export async function buildParts(
  config: Config,
  { version, worker, extra, openConsole, metricsOfAll, services, bus, reload }: PartsOptions,
  runtime: Runtime,
  given: Logger,
): Promise<InstanceParts> {
  const stats = new Stats();
  const tracing = await traces(config, version, { runtime, stats, log: given });
  const log = tracing ? withTraceIds(given, tracing) : given;
  const connections = connectionCap(config.limits.connections, runtime.descriptorLimit());
  const plain = bus
    ? memoryBroker({ bus, instance: config.instanceId, log, stats })
    : await buildBroker(config, connections, { log, stats, traced: tracing !== undefined });
  const broker = tracing ? tracedBroker(plain, { tracing, stats, root: config.nats.root }) : plain;
  const { authenticator, callouts, prepare } = reloadingDrivers(config, {
    authenticator: (settings) =>
      jwtAuthenticator({ issuers: tokenIssuers(settings), insecure: settings.insecure, log }),
    callouts: (settings) =>
      buildCallouts(settings, servicesOf(settings, broker, services), { log, stats, tracing }),
  });
  return {
    ...{ config, version, runtime, broker, log, stats, authenticator, callouts, tracing },
    worker: worker !== undefined,
    connectionLog: connectionLogger(config, log, worker),
    ...(extra && { extra }),
    ...(openConsole && { openConsole }),
    ...(metricsOfAll && { metricsOfAll }),
    ...(reload && { reload }),
    prepareDrivers: prepare,
    presence: (load) => buildPresence(config, runtime, { log, stats, load }),
  };
}

/** Whoever serves in NATS, and what is asked before. */
function servicesOf(
  { rpc: { timeoutMs } }: Config,
  broker: Broker,
  services: PartsOptions["services"],
): ServiceRequest {
  const nats: ServiceRequest = (service, name, body, headers) =>
    broker.request(service, name, body, { timeoutMs, ...(headers && { headers }) });
  return services ? services(nats, timeoutMs) : nats;
}

function buildCallouts(
  config: Config,
  request: ServiceRequest,
  { log, stats, tracing }: Pick<InstanceParts, "log" | "stats" | "tracing">,
): FindCallouts {
  const { rpc, region, instanceId: instance } = config;
  const common = { stats, tracing, log: log.with({ at: "callout" }) };
  const nats = natsCallouts({
    ...{ ...common, region, instance, rpcBodyBytes: rpc.bodyBytes },
    request,
  });
  return findCallouts(nats, httpEndpoints(config), common);
}

function warnOfInsecurity(log: Logger): void {
  const text = "INSECURE: clients without any credentials may do everything. For development only.";
  printError(paint("red", text, process.stderr));
  log.warn("insecure mode: clients without any credentials may do everything");
}

/**
 * Aborts at the first SIGTERM, SIGINT or SIGQUIT; at the second the process ends at once, with 1. Reloads at SIGHUP. Others
 * are logged. Returns its own removal. @param on.hangups whether SIGHUP is one of the first kind
 */
function listenToSignals(
  leave: AbortController,
  runtime: Runtime,
  log: Logger,
  on: { readonly hangups: boolean; readonly reload: () => void },
): () => void {
  let signals = 0;
  const received = () => {
    if (++signals > 1) {
      log.warn("a second signal: exiting at once");
      runtime.exit(1);
    }
    leave.abort();
  };
  const removals = (["SIGTERM", "SIGINT", "SIGQUIT"] as const).map((signal) =>
    runtime.onSignal(signal, received),
  );
  removals.push(runtime.onSignal("SIGHUP", on.hangups ? received : on.reload), ignoreSignals(runtime, log));
  return () => {
    for (const remove of removals) remove();
  };
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

/** Traces, where the environment wants them. */
async function traces(
  { instanceId, region, tracing }: Config,
  version: string,
  { runtime, stats, log }: { readonly runtime: Runtime; readonly stats: Stats; readonly log: Logger },
): Promise<OpenTracing | undefined> {
  return await openTracing({
    trusts: { service: tracing.trustServices, client: tracing.trustClients },
    resource: {
      "service.name": "trunkline",
      "service.version": version,
      "service.instance.id": instanceId,
      "trunkline.region": region,
      "process.runtime.name": runtime.name,
      "process.runtime.version": runtime.version,
    },
    ...{ version, stats, env: process.env },
    log: log.with({ at: "tracing" }),
  });
}

interface BrokerParts {
  readonly log: Logger;
  readonly stats: Stats;
  readonly traced: boolean;
}

/** @param connections that the instance takes */
async function buildBroker(config: Config, connections: number, parts: BrokerParts): Promise<Broker> {
  const { log, stats, traced } = parts;
  const { namespaces, instanceId: instance, region, nats } = config;
  if (nats.urls.length === 0) {
    return memoryBroker({ bus: memoryBus({ namespaces }), instance, log, stats });
  }
  return natsBroker({
    ...natsAddress(config),
    root: nats.root,
    home: nats.home,
    allowOldReplicas: nats.allowOldReplicas,
    eventStreamBytes: nats.eventStreamBytes,
    longestRequest: config.rpc.bodyBytes,
    publishWindow: nats.publishWindow,
    publishQueue: nats.publishQueue,
    publishTimeoutMs: nats.publishTimeoutMs,
    // All connections may be cut off at once.
    eventQueue: EVENTS + Math.min(connections, MOST_CONNECTIONS),
    // The gateway itself keeps a channel it does not need for a while.
    lingerMs: 0,
    namespaces,
    instance,
    region,
    log: log.with({ at: "broker" }),
    ...{ stats, traced },
  });
}

function buildPresence(
  config: Config,
  runtime: Runtime,
  { log, stats, load }: { readonly log: Logger; readonly stats: Stats; readonly load: () => InstanceLoad },
): Presence {
  const { instanceId: instance, region, redis, presence } = config;
  const common = {
    instance,
    region,
    leaseTtlMs: presence.leaseTtlMs,
    renewMs: presence.leaseRenewMs,
    log: log.with({ at: "presence" }),
    stats,
    load,
  };
  const way = redisWay(config, runtime);
  if (!way) return memoryPresence({ ...common, hub: memoryPresenceHub() });
  return "cluster" in way
    ? clusterPresence({ ...common, link: way.cluster, prefix: redis.prefix })
    : redisPresence({ ...common, link: way.link, prefix: redis.prefix });
}
