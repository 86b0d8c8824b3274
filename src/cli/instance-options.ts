import type { Config } from "../config.ts";
import type { Logger } from "../core/log.ts";
import { Seldom } from "../core/seldom.ts";
import type { GatewayOptions } from "../gateway/context.ts";
import { type AdmissionOptions, connectionCap } from "../gateway/instance/admission.ts";
import type { OverloadLimits } from "../gateway/instance/overload.ts";
import { RegionDirectory } from "../gateway/instance/region-directory.ts";
import type { AppOptions } from "../http/app.ts";
import { inRanges } from "../http/client-ip.ts";
import type { InstanceLoad, Presence } from "../presence/presence.ts";
import { outgoingPorts } from "../process/outgoing-ports.ts";
import type { ProxyProtocol, Runtime } from "../runtime/runtime.ts";
import type { Descriptors } from "./descriptors.ts";
import { UserError } from "./output.ts";

/** Who is let in. @param connections most of the instance */
export function admissionOptions({ limits }: Config, connections: number): AdmissionOptions {
  const { connectionsPerIp, connectsPerIpPerSecond: perSecond, connectsPerIpBurst: burst } = limits;
  return {
    connections,
    connectionsPerIp,
    ratePerIp: perSecond > 0 ? { perSecond, burst } : undefined,
  };
}

/** How fast connections are let go, each family of clients at its own pace. */
export function drainPace({ drain }: Config) {
  const { ratePerSecond, pusherRatePerSecond, oneWayRatePerSecond, deadlineMs } = drain;
  // Whoever sets a slow drain means all families.
  const pusher = Math.min(pusherRatePerSecond, ratePerSecond);
  const oneWay = Math.min(oneWayRatePerSecond, ratePerSecond);
  return { ratePerSecond, familyRates: { pusher, oneWay }, deadlineMs };
}

/** The gateway's options have the settings' own names, so that groups are handed over whole; never `auth`: it has secrets. */
export function gatewayOptions({
  insecure,
  auth,
  limits,
  channels,
  ping,
  rpc,
  callouts,
  log,
  trace,
}: Config): GatewayOptions {
  return {
    insecure,
    anonymous: auth.anonymous,
    connectCallout: auth.connectCallout,
    refreshCallout: auth.refreshCallout,
    rpcCallouts: rpc.callouts,
    emulatedHeaders: [...new Set(Object.values(callouts.endpoints).flatMap((one) => one.emulatedHeaders))],
    expiryGraceMs: auth.expiryGraceMs,
    ...limits,
    ...channels,
    pingIntervalMs: ping.intervalMs,
    pongTimeoutMs: ping.pongTimeoutMs,
    rpcBodyBytes: rpc.bodyBytes,
    tracePayloads: trace.payloads,
    connectionLinesPerSecond: log.connections === "all" ? 0 : log.connectionsPerSecond,
  };
}

/** What the HTTP layer takes of the settings. */
export function appOptions(config: Config, descriptors: Descriptors): AppOptions {
  const { http, api, console, limits, compression } = config;
  const { exceptUserAgents, streams } = compression;
  return {
    allowedOrigins: http.allowedOrigins,
    passedHeaders: passedHeaders(config),
    proxy: proxyTrust(config),
    compression: { sockets: compression.sent !== "off", exceptUserAgents, streams },
    apiKeys: api.keys,
    operatorTokens: console.tokens,
    maxRequestBytes: http.maxRequestBytes,
    maxFrameBytes: limits.frameBytes,
    publicMetrics: http.publicMetrics,
    door: doorOptions(config, descriptors),
    ...(http.metricsToken && { metricsToken: http.metricsToken }),
  };
}

/** Descriptors and ports of loopback that stay free beside those of connections. */
const KEPT_PORTS = 1_000;
/** One address is heard of at most so often. */
const REFUSALS_EVERY_MS = 60_000;
/** How long a header of the PROXY protocol may take, ms: balancers send it at once. */
const PROXY_HEADER_MS = 3_000;

/** Most connections: behind the PROXY protocol each also takes a port of loopback. */
export function capOf(config: Config, runtime: Runtime, tls: boolean): number {
  const { protocol: proxyProtocol } = config.proxy;
  const each = runtime.descriptorsEach({ tls, proxyProtocol });
  const cap = connectionCap(config.limits.connections, runtime.descriptorLimit(), each);
  const ports = proxyProtocol ? outgoingPorts() : undefined;
  return ports === undefined ? cap : Math.min(cap, Math.max(1, ports - KEPT_PORTS));
}

/** Who is believed about what stands before the first request. */
export function proxyProtocol({ proxy }: Config, log: Logger): ProxyProtocol | undefined {
  if (!proxy.protocol) return undefined;
  const warnings = new Seldom(REFUSALS_EVERY_MS);
  return {
    trusts: inRanges(proxy.cidrs),
    timeoutMs: PROXY_HEADER_MS,
    refused(address, why) {
      if (warnings.first(address)) log.warn("a proxy's connection was refused", { address, why });
    },
  };
}

/** What a port of ours allows. @throws UserError where the runtime cannot compress and is to */
export function socketOptions({ limits, http, compression }: Config, runtime: Runtime) {
  const { sent, received, thresholdBytes: minBytes } = compression;
  if (sent !== "off" && runtime.noCompression !== undefined)
    throw new UserError(`compression.sent: ${runtime.noCompression}`);
  return {
    maxFrameBytes: limits.frameBytes,
    backpressureBytes: limits.backpressureBytes,
    maxRequestBytes: http.maxRequestBytes,
    compression: sent === "off" ? undefined : { sent, received, minBytes },
  };
}

/** Which regions there are. @param load of this instance */
export function regionDirectory(
  { region, regions, instanceId: instance }: Config,
  presence: Presence,
  load: () => InstanceLoad,
): RegionDirectory {
  const urls = new Map(regions.map((entry) => entry.split("=", 2) as [string, string]));
  return new RegionDirectory({ here: region, urls, presence, own: () => ({ instance, region, ...load() }) });
}

/** What holds for HTTP streams. */
export function streamOptions({ limits, compression }: Config) {
  return { backpressureBytes: limits.backpressureBytes, thresholdBytes: compression.thresholdBytes };
}

/** What holds for plain HTTP, which lives in what admission keeps back of the descriptors. */
function doorOptions({ limits }: Config, descriptors: Descriptors): AppOptions["door"] {
  return {
    requestsPerIpPerSecond: limits.requestsPerIpPerSecond,
    keptSocketsPerIp: limits.httpConnectionsPerIp,
    keptSockets: Math.floor(descriptors.reserve / 2),
    tight: () => descriptors.tight,
  };
}

/** Where overload begins. */
export function overloadLimits({ overload }: Config): OverloadLimits {
  return {
    delayMs: overload.eventLoopDelayMs,
    residentBytes: overload.memoryBytes,
    bytesOutPerSecond: overload.bytesOutPerSecond,
  };
}

/** Headers of clients' requests that some endpoint is to see. */
function passedHeaders({ callouts }: Config): readonly string[] {
  const all = Object.values(callouts.endpoints).flatMap(({ headers }) => headers);
  return [...new Set(all)];
}

/** Who is believed about addresses. */
function proxyTrust({ proxy }: Config) {
  if (proxy.trust !== "header") return { kind: proxy.trust };
  return { kind: proxy.trust, header: proxy.header, cidrs: proxy.cidrs, hops: proxy.hops };
}
