import type { Outbox } from "../broker/outbox.ts";
import { CentrifugeDialects } from "../centrifuge/dialect.ts";
import type { Config } from "../config.ts";
import { amendNamespaces } from "../core/namespace.ts";
import { createGateway, type RunningGateway } from "../gateway/create.ts";
import type { Operations } from "../gateway/gateway.ts";
import { Admission } from "../gateway/instance/admission.ts";
import { Evacuation } from "../gateway/instance/evacuation.ts";
import { Overload, type OverloadLimits } from "../gateway/instance/overload.ts";
import { adminApp, secondPort } from "../http/admin.ts";
import { serveApiOverNats } from "../http/api-over-nats.ts";
import { type App, createApp, REGION_HEADER } from "../http/app.ts";
import { loadAssets } from "../http/assets.ts";
import { TransportFanout } from "../http/fanout.ts";
import { brokerFault, type Health, unreadiness } from "../http/health.ts";
import { createMetrics } from "../http/metrics.ts";
import type { Metrics } from "../http/metrics-page.ts";
import { StreamTransports } from "../http/streams/transports.ts";
import type { InstanceLoad, Presence } from "../presence/presence.ts";
import { AppQuotas } from "../pusher/app-quotas.ts";
import { PusherApps } from "../pusher/apps.ts";
import { Pusher } from "../pusher/pusher.ts";
import type { Server } from "../runtime/runtime.ts";
import { type Certificate, CertificateWatch, readCertificate } from "./certificate.ts";
import { type Console, createConsole } from "./console.ts";
import { Descriptors } from "./descriptors.ts";
import {
  admissionOptions,
  appOptions,
  capOf,
  drainPace,
  gatewayOptions,
  overloadLimits,
  proxyProtocol,
  regionDirectory,
  streamOptions,
} from "./instance-options.ts";
import type { Instance, InstanceParts } from "./instance-parts.ts";
import { startTimers } from "./instance-timers.ts";
import { eventRecorder, outboxDesk, outboxOptions, startWebhooks } from "./outbox.ts";
import type { Prepared } from "./reload/drivers.ts";
import { serveOn } from "./serve-on.ts";
import { step } from "./start-step.ts";
import { StartedParts } from "./started-parts.ts";

/**
 * Starts everything, the port last. A start that fails, or is told to stop, closes what was started before.
 * @throws UserError that says in one sentence which step failed and why; `stop.reason` when it was aborted
 */
export async function startInstance(parts: InstanceParts, stop?: AbortSignal): Promise<Instance> {
  const instance = new RunningInstance(parts);
  await instance.start(stop ?? new AbortController().signal);
  return instance;
}

class RunningInstance implements Instance {
  url = "";
  readonly #parts: InstanceParts;
  #config: Config;
  readonly #started: StartedParts;
  readonly #apps: PusherApps;
  /** Most connections. */
  #cap: number;
  readonly #admission: Admission;
  readonly #descriptors: Descriptors;
  readonly #overload: Overload;
  readonly #overloadLimits: OverloadLimits;
  readonly #streams: StreamTransports;
  readonly #fanout: TransportFanout;
  readonly #health: Health;
  /** Of the clients' port; without one it speaks no TLS. */
  readonly #certificate: Certificate | undefined;
  #certificateWatch: CertificateWatch | undefined;
  #gateway!: RunningGateway;
  #app!: App;
  /** Of the second port. */
  #admin: ReturnType<typeof adminApp> | undefined;
  #metrics!: Metrics;
  #console: Console | undefined;
  #draining = false;
  #leaving: Promise<void> | undefined;

  constructor(parts: InstanceParts) {
    const { config, runtime, broker, stats, log } = parts;
    this.#parts = parts;
    this.#config = config;
    this.#started = new StartedParts(log);
    this.#apps = new PusherApps(config.apps);
    this.#certificate = readCertificate(config.tls);
    this.#cap = capOf(config, runtime, this.#certificate !== undefined);
    this.#admission = new Admission(admissionOptions(config, this.#cap));
    this.#descriptors = new Descriptors(runtime);
    this.#overloadLimits = overloadLimits(config);
    this.#overload = new Overload({
      limits: this.#overloadLimits,
      residentBytes: runtime.residentBytes,
      bytesOut: () => stats.bytesOut,
      observeDelay: (ms) => stats.loopDelay.observeMs(ms),
    });
    this.#streams = new StreamTransports({ ...streamOptions(config), stats });
    this.#fanout = new TransportFanout(this.#streams);
    this.#health = {
      instance: config.instanceId,
      draining: () => this.#draining,
      broker: () => broker.status(),
      overload: () => this.#overload.state,
      storage: () => ({ refusedAtMs: stats.storageRefusedAtMs, fullStreams: stats.storageFull }),
      brokerAwayMs: config.health.natsAwayMs,
    };
  }

  /** Once. @throws as {@link startInstance} does */
  async start(stop: AbortSignal): Promise<void> {
    try {
      await this.#startParts(stop);
    } catch (error) {
      await this.#started.close();
      throw error;
    }
  }

  get operations(): Operations {
    return this.#gateway.operations;
  }

  breakLinks(): void {
    this.#gateway.sendAway(Number.POSITIVE_INFINITY);
  }

  async prepare(next: Config): Promise<Prepared> {
    const { config, broker, prepareDrivers } = this.#parts;
    const added = [...next.namespaces.values()].filter(({ name }) => !config.namespaces.has(name));
    const follow = added.length > 0 ? await broker.extend(added) : () => {};
    const drivers = await prepareDrivers?.(next);
    return {
      commit: () => {
        follow();
        drivers?.commit();
        this.#takeOver(next);
      },
      abandon: () => drivers?.abandon(),
    };
  }

  /** In one step: no command, connection or message meets a part of it. */
  #takeOver(next: Config): void {
    const { config, log } = this.#parts;
    // Whoever has changed it for a while meant it.
    if (next.log.level !== this.#config.log.level) log.setLevel(next.log.level);
    this.#config = next;
    amendNamespaces(config.namespaces, next.namespaces);
    this.#apps.reload(next.apps);
    this.#gateway.reload(gatewayOptions(next));
    this.#cap = capOf(next, this.#parts.runtime, this.#certificate !== undefined);
    this.#admission.reload(admissionOptions(next, this.#cap));
    Object.assign(this.#overloadLimits, overloadLimits(next));
    Object.assign(this.#health, { brokerAwayMs: next.health.natsAwayMs });
    this.#app.reload(appOptions(next, this.#descriptors));
    if (this.#admin) this.#admin = this.#adminApp();
  }

  shutdown(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  /** The order of the start; each part is noted before it is started, so that one that starts halfway is closed, too. */
  async #startParts(stop: AbortSignal): Promise<void> {
    const { broker, authenticator, config, runtime, stats, tracing, log } = this.#parts;
    const { version, openConsole: open = false } = this.#parts;
    const started = this.#started;

    started.closeFirst("traces", () => this.#parts.tracing?.close());
    started.closeFirst("broker", () => broker.close());
    await step("start the broker", stop, () => broker.start());
    const outbox = await this.#openOutbox(stop);
    started.closeFirst("authenticator", () => authenticator.close());
    await step("start the check of tokens", stop, () => authenticator.start());

    const presence = this.#parts.presence(() => this.#load());
    const pusher = new Pusher({
      ...{ apps: this.#apps, outbox, broker, presence, fanout: this.#fanout, tracing },
      quotas: new AppQuotas({ stats, dryRun: config.limits.dryRun }),
      log: log.with({ at: "gateway" }),
    });
    const gateway = this.#createGateway(presence, pusher, outbox);
    this.#gateway = gateway;
    started.closeFirst("presence", () => presence.close());
    await step("start presence", stop, () => presence.start());

    const metrics = this.#createMetrics(presence);
    this.#metrics = this.#parts.metricsOfAll?.(metrics) ?? metrics;
    this.#console = await step("read the console's page", stop, () =>
      createConsole({ config, inForce: () => this.#config, version, gateway, open, log }),
    );
    this.#app = await step("read the demo page", stop, () =>
      this.#createApp(presence, pusher, this.#metrics, config.admin.port > 0 ? undefined : this.#console),
    );
    started.closeFirst("Pusher applications", () => pusher.close());
    pusher.start();
    started.closeFirst("gateway", () => gateway.close());
    gateway.start();
    const { operations } = gateway;
    started.closeFirst("API over NATS", serveApiOverNats(broker, { operations, stats, tracing, log }));
    const timers = {
      ...{ runtime, gateway, overload: this.#overload, descriptors: this.#descriptors, stats, log },
      evacuation: this.#evacuation(presence),
    };
    started.closeFirst("timers", startTimers(timers));
    this.#listen();
    log.info(this.#parts.worker ? "worker listening" : "listening", {
      url: this.url,
      ...this.#identity(),
      connections: this.#cap,
    });
  }

  /** Opens the outbox and delivers what is in it, when there are webhooks. */
  async #openOutbox(stop: AbortSignal): Promise<Outbox | undefined> {
    const { config, broker, stats, tracing, log } = this.#parts;
    const options = outboxOptions(config);
    if (!options) return undefined;
    const outbox = await step("open the outbox of webhooks", stop, () => broker.outbox(options));
    this.#started.closeFirst("outbox of webhooks", () => outbox.close());
    const webhooks = await step("start the webhooks", stop, () =>
      startWebhooks({ config, apps: this.#apps, outbox, stats, tracing, log }),
    );
    this.#started.closeFirst("webhooks", () => webhooks.close());
    return outbox;
  }

  #createGateway(presence: Presence, pusher: Pusher, outbox: Outbox | undefined): RunningGateway {
    const { config, version, runtime, broker, authenticator, callouts, stats, tracing, log } = this.#parts;
    return createGateway({
      instance: config.instanceId,
      region: config.region,
      version,
      options: gatewayOptions(config),
      namespaces: config.namespaces,
      ...{ broker, presence, authenticator, callouts, stats, tracing },
      recorder: eventRecorder(config, broker, outbox, tracing),
      outbox: outbox && outboxDesk(config, this.#apps, outbox),
      policy: pusher,
      membership: pusher,
      fanout: this.#fanout,
      overloaded: () => this.#overload.state !== "ok",
      vitals: () => ({
        connectionsLimit: this.#cap,
        draining: this.#draining,
        overload: this.#overload.state,
        unready: unreadiness(this.#health, Date.now()),
        loopDelayMs: this.#overload.delayMs,
        residentBytes: runtime.residentBytes(),
      }),
      release: (key) => this.#admission.release(key),
      log: log.with({ at: "gateway" }),
      connectionLog: this.#parts.connectionLog,
    });
  }

  #createMetrics(presence: Presence): Metrics {
    const { version, runtime, broker, stats } = this.#parts;
    const { region, instance, runtime: name } = this.#identity();
    const cap = () => this.#cap;
    return createMetrics({
      stats,
      connections: () => this.#gateway.connections,
      users: () => this.#gateway.context.hub.userCount,
      namespaces: () => this.#config.namespaces.keys(),
      endpoints: () => Object.keys(this.#config.callouts.endpoints),
      get connectionsLimit() {
        return cap();
      },
      overload: () => this.#overload,
      residentBytes: runtime.residentBytes,
      memoryLimitBytes: () => this.#overloadLimits.residentBytes,
      runtime,
      certificateExpiresAtMs: () => this.#certificateWatch?.expiresAtMs ?? 0,
      broker: () => broker.status(),
      presence: () => presence.status(),
      build: { version, runtime: name, region, instance },
    });
  }

  async #createApp(presence: Presence, pusher: Pusher, metrics: Metrics, console?: Console): Promise<App> {
    const { config, version, stats, tracing, log } = this.#parts;
    return createApp({
      gateway: this.#gateway,
      version,
      centrifuge: new CentrifugeDialects(this.#gateway.context),
      apps: this.#apps,
      appQuotas: pusher.quotas,
      pusherConnection: pusher.connections(this.#gateway.context),
      admission: this.#admission,
      health: this.#health,
      metrics,
      console,
      regions: regionDirectory(config, presence, () => this.#load()),
      assets: await loadAssets("console"),
      streams: this.#streams,
      ...{ stats, tracing, log },
      reload: this.#parts.reload,
      options: appOptions(config, this.#descriptors),
    });
  }

  /** What others are told of it: 0 of capacity while it should get no new clients. */
  #load(): InstanceLoad {
    const ready = unreadiness(this.#health, Date.now()).length === 0;
    return { connections: this.#gateway.connections, capacity: ready ? this.#cap : 0 };
  }

  /** Sends clients away from an instance that has lost its broker for good. */
  #evacuation(presence: Presence): Evacuation {
    const { config, log } = this.#parts;
    const gateway = this.#gateway;
    return new Evacuation({
      ...{ instance: config.instanceId, presence, log },
      ratePerSecond: () => this.#config.drain.ratePerSecond,
      canServe: () => this.#draining || brokerFault(this.#health, Date.now()) === undefined,
      // Until then every other instance has renewed its lease, and says whether it can serve.
      patienceMs: 2 * config.presence.leaseRenewMs,
      connections: () => gateway.connections,
      sendAway: (count) => gateway.sendAway(count),
    });
  }

  /** Opens the second port, when there is one, and then the port for clients. */
  #listen(): void {
    const { config, worker, extra, log } = this.#parts;
    if (config.admin.port > 0) {
      this.#admin = this.#adminApp();
      const second = serveOn(this.#parts, {
        ...config.admin,
        fetch: secondPort({ admin: () => this.#admin!, stats: this.#parts.stats }),
      });
      this.#started.closeLast("second port", () => second.close());
    }
    const server = serveOn(this.#parts, {
      host: config.host,
      port: config.port,
      reusePort: worker ?? false,
      upgradeHeaders: { [REGION_HEADER]: config.region },
      proxyProtocol: proxyProtocol(config, log.with({ at: "proxy" })),
      ...(this.#certificate && { tls: this.#certificate }),
      fetch: (request, context) => extra?.(request) ?? this.#app.fetch(request, context),
    });
    this.#started.closeLast("port", () => server.close());
    this.#started.closeFirst("new connections", () => server.stopListening());
    this.#fanout.serveSockets(server);
    const { hostname, port } = server;
    if (this.#certificate) this.#watchCertificate(this.#certificate, server);
    this.url = `${this.#certificate ? "https" : "http"}://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  }

  #adminApp() {
    const { http, api, console } = this.#config;
    const { reload } = this.#parts;
    return adminApp({
      ...{ health: this.#health, metrics: this.#metrics, reload, apiKeys: api.keys },
      operatorTokens: console.tokens,
      audit: this.#gateway.oversight.audit,
      metricsToken: http.metricsToken,
      publicMetrics: true,
      console: this.#console,
    });
  }

  #watchCertificate(certificate: Certificate, server: Server): void {
    const { config, log } = this.#parts;
    const watch = new CertificateWatch(config.tls, certificate, server, log.with({ at: "tls" }));
    this.#certificateWatch = watch;
    watch.start();
    this.#started.closeFirst("watch of the certificate", () => watch.stop());
  }

  #identity() {
    const { config, runtime } = this.#parts;
    const { instanceId: instance, region } = config;
    return { instance, region, runtime: `${runtime.name} ${runtime.version}` };
  }

  async #leave(): Promise<void> {
    const { log } = this.#parts;
    const pace = drainPace(this.#config);
    this.#draining = true;
    log.info("draining", { connections: this.#gateway.connections, ...pace });
    const begin = performance.now();
    await this.#gateway.drain(pace);
    await this.#started.close();
    log.info("drained", { ms: Math.round(performance.now() - begin) });
  }
}
