import type { Outbox } from "../broker/outbox.ts";
import { CentrifugeDialects } from "../centrifuge/dialect.ts";
import { createGateway, type RunningGateway } from "../gateway/create.ts";
import type { Operations } from "../gateway/gateway.ts";
import type { Admission } from "../gateway/instance/admission.ts";
import { Evacuation } from "../gateway/instance/evacuation.ts";
import { IdleCollector } from "../gateway/instance/idle-collector.ts";
import { Overload } from "../gateway/instance/overload.ts";
import { adminApp } from "../http/admin.ts";
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
import type { ServeOptions, Server } from "../runtime/runtime.ts";
import { type Certificate, CertificateWatch, readCertificate } from "./certificate.ts";
import { type Console, createConsole } from "./console.ts";
import { Descriptors } from "./descriptors.ts";
import {
  admissionOf,
  appOptions,
  capOf,
  drainPace,
  gatewayOptions,
  proxyProtocol,
  regionDirectory,
  socketOptions,
  streamOptions,
} from "./instance-options.ts";
import type { Instance, InstanceParts } from "./instance-parts.ts";
import { eventRecorder, outboxDesk, outboxOptions, startWebhooks } from "./outbox.ts";
import { startError, step } from "./start-step.ts";
import { StartedParts } from "./started-parts.ts";

/** Most connections closed in one step of shedding, as a share of all. */
const SHED_SHARE = 0.02;
const SHED_INTERVAL_MS = 1_000;
const IDLE_COLLECTION_INTERVAL_MS = 1_000;

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
  readonly #started: StartedParts;
  readonly #apps: PusherApps;
  /** Most connections. */
  readonly #cap: number;
  readonly #admission: Admission;
  readonly #descriptors: Descriptors;
  readonly #overload: Overload;
  readonly #streams: StreamTransports;
  readonly #fanout: TransportFanout;
  readonly #health: Health;
  /** Of the clients' port; without one it speaks no TLS. */
  readonly #certificate: Certificate | undefined;
  #certificateWatch: CertificateWatch | undefined;
  #gateway!: RunningGateway;
  #draining = false;
  #leaving: Promise<void> | undefined;

  constructor(parts: InstanceParts) {
    const { config, runtime, broker, stats, log } = parts;
    this.#parts = parts;
    this.#started = new StartedParts(log);
    this.#apps = new PusherApps(config.apps);
    this.#certificate = readCertificate(config.tls);
    this.#cap = capOf(config, runtime, this.#certificate !== undefined);
    this.#admission = admissionOf(config, this.#cap);
    this.#descriptors = new Descriptors(runtime);
    this.#overload = new Overload({
      limits: {
        delayMs: config.overload.eventLoopDelayMs,
        residentBytes: config.overload.memoryBytes,
        bytesOutPerSecond: config.overload.bytesOutPerSecond,
      },
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

  shutdown(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  /** The order of the start; each part is noted before it is started, so that one that starts halfway is closed, too. */
  async #startParts(stop: AbortSignal): Promise<void> {
    const { broker, authenticator, config, version, openConsole: open = false, stats, log } = this.#parts;
    const started = this.#started;

    started.closeFirst("broker", () => broker.close());
    await step("start the broker", stop, () => broker.start());
    const outbox = await this.#openOutbox(stop);
    started.closeFirst("authenticator", () => authenticator.close());
    await step("start the check of tokens", stop, () => authenticator.start());

    const presence = this.#parts.presence(() => this.#load());
    const pusher = new Pusher({
      ...{ apps: this.#apps, outbox, broker, presence, fanout: this.#fanout },
      quotas: new AppQuotas({ stats, dryRun: config.limits.dryRun }),
      log: log.with({ at: "gateway" }),
    });
    const gateway = this.#createGateway(presence, pusher, outbox);
    this.#gateway = gateway;
    started.closeFirst("presence", () => presence.close());
    await step("start presence", stop, () => presence.start());

    const metrics = this.#createMetrics(presence);
    const console = await step("read the console's page", stop, () =>
      createConsole({ config, version, gateway, open, log }),
    );
    const app = await step("read the demo page", stop, () =>
      this.#createApp(presence, pusher, metrics, config.admin.port > 0 ? undefined : console),
    );
    started.closeFirst("Pusher applications", () => pusher.close());
    pusher.start();
    started.closeFirst("gateway", () => gateway.close());
    gateway.start();
    const { operations } = gateway;
    started.closeFirst("API over NATS", serveApiOverNats(broker, { operations, stats, log }));
    this.#startTimers(presence);
    this.#listen(app, metrics, console);
    log.info(this.#parts.worker ? "worker listening" : "listening", {
      url: this.url,
      ...this.#identity(),
      connections: this.#cap,
    });
  }

  /** Opens the outbox and delivers what is in it, when there are webhooks. */
  async #openOutbox(stop: AbortSignal): Promise<Outbox | undefined> {
    const { config, broker, stats, log } = this.#parts;
    const options = outboxOptions(config);
    if (!options) return undefined;
    const outbox = await step("open the outbox of webhooks", stop, () => broker.outbox(options));
    this.#started.closeFirst("outbox of webhooks", () => outbox.close());
    const webhooks = await step("start the webhooks", stop, () =>
      startWebhooks({ config, apps: this.#apps, outbox, stats, log }),
    );
    this.#started.closeFirst("webhooks", () => webhooks.close());
    return outbox;
  }

  #createGateway(presence: Presence, pusher: Pusher, outbox: Outbox | undefined): RunningGateway {
    const { config, version, runtime, broker, authenticator, callouts, stats, log } = this.#parts;
    return createGateway({
      instance: config.instanceId,
      region: config.region,
      version,
      options: gatewayOptions(config),
      namespaces: config.namespaces,
      ...{ broker, presence, authenticator, callouts, stats },
      recorder: eventRecorder(config, broker, outbox),
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
    return createMetrics({
      stats,
      connections: () => this.#gateway.connections,
      connectionsLimit: this.#cap,
      overload: () => this.#overload,
      residentBytes: runtime.residentBytes,
      runtime,
      certificateExpiresAtMs: () => this.#certificateWatch?.expiresAtMs ?? 0,
      broker: () => broker.status(),
      presence: () => presence.status(),
      build: { version, runtime: name, region, instance },
    });
  }

  async #createApp(presence: Presence, pusher: Pusher, metrics: Metrics, console?: Console): Promise<App> {
    const { config, version, stats, log } = this.#parts;
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
      stats,
      log,
      options: appOptions(config, this.#descriptors),
    });
  }

  /** What others are told of it: 0 of capacity while it should get no new clients. */
  #load(): InstanceLoad {
    const ready = unreadiness(this.#health, Date.now()).length === 0;
    return { connections: this.#gateway.connections, capacity: ready ? this.#cap : 0 };
  }

  /** Watches the load, sheds connections under it, and gives unused memory back when there is little to do. */
  #startTimers(presence: Presence): void {
    const { config, runtime, stats, log } = this.#parts;
    const [gateway, overload] = [this.#gateway, this.#overload];
    const idleCollector = new IdleCollector({
      changes: () => stats.connects + stats.disconnects,
      connections: () => gateway.connections,
      overloaded: () => overload.state !== "ok",
      publications: () => stats.publicationsOut,
      collect: runtime.collect,
    });
    const shedding = setInterval(() => {
      if (overload.letsGo) gateway.shed(Math.ceil(gateway.connections * SHED_SHARE));
    }, SHED_INTERVAL_MS);
    this.#descriptors.start();
    const collecting = setInterval(() => {
      idleCollector.tick();
      for (const ms of runtime.takeCollectionsMs()) stats.collections.observeMs(ms);
    }, IDLE_COLLECTION_INTERVAL_MS);
    overload.onChange((state) => log.warn("overload", { state, delayMs: Math.round(overload.delayMs) }));
    overload.start();
    const evacuation = new Evacuation({
      ...{ instance: config.instanceId, presence, log, ratePerSecond: config.drain.ratePerSecond },
      canServe: () => this.#draining || brokerFault(this.#health, Date.now()) === undefined,
      // Until then every other instance has renewed its lease, and says whether it can serve.
      patienceMs: 2 * config.presence.leaseRenewMs,
      connections: () => gateway.connections,
      sendAway: (count) => gateway.sendAway(count),
    });
    evacuation.start();
    this.#started.closeFirst("timers", () => {
      clearInterval(shedding);
      clearInterval(collecting);
      this.#descriptors.stop();
      overload.stop();
      evacuation.stop();
    });
  }

  /** Opens the second port, when there is one, and then the port for clients. */
  #listen(app: App, metrics: Metrics, console: Console | undefined): void {
    const { config, worker, extra, log } = this.#parts;
    if (config.admin.port > 0) {
      const admin = adminApp({
        ...{ health: this.#health, metrics },
        metricsToken: config.http.metricsToken,
        publicMetrics: true,
        console,
      });
      const second = this.#serve({ ...config.admin, fetch: (request) => admin.fetch(request) });
      this.#started.closeLast("second port", () => second.close());
    }
    const server = this.#serve({
      host: config.host,
      port: config.port,
      reusePort: worker ?? false,
      upgradeHeaders: { [REGION_HEADER]: config.region },
      proxyProtocol: proxyProtocol(config, log.with({ at: "proxy" })),
      ...(this.#certificate && { tls: this.#certificate }),
      fetch: (request, context) => extra?.(request) ?? app.fetch(request, context),
    });
    this.#started.closeLast("port", () => server.close());
    this.#started.closeFirst("new connections", () => server.stopListening());
    this.#fanout.serveSockets(server);
    const { hostname, port } = server;
    if (this.#certificate) this.#watchCertificate(this.#certificate, server);
    this.url = `${this.#certificate ? "https" : "http"}://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  }

  #watchCertificate(certificate: Certificate, server: Server): void {
    const { config, log } = this.#parts;
    const watch = new CertificateWatch(config.tls, certificate, server, log.with({ at: "tls" }));
    this.#certificateWatch = watch;
    watch.start();
    this.#started.closeFirst("watch of the certificate", () => watch.stop());
  }

  #serve({
    host: hostname,
    ...options
  }: Pick<ServeOptions, "port" | "fetch" | "reusePort" | "upgradeHeaders" | "proxyProtocol" | "tls"> & {
    host: string;
  }): Server {
    const { config, runtime } = this.#parts;
    const bounds = socketOptions(config, runtime);
    try {
      return runtime.serve({ hostname, ...options, ...bounds });
    } catch (error) {
      throw startError(`listen on ${hostname}, port ${options.port}`, error);
    }
  }

  #identity() {
    const { config, runtime } = this.#parts;
    const { instanceId: instance, region } = config;
    return { instance, region, runtime: `${runtime.name} ${runtime.version}` };
  }

  async #leave(): Promise<void> {
    const { config, log } = this.#parts;
    const pace = drainPace(config);
    this.#draining = true;
    log.info("draining", { connections: this.#gateway.connections, ...pace });
    const begin = performance.now();
    await this.#gateway.drain(pace);
    await this.#started.close();
    log.info("drained", { ms: Math.round(performance.now() - begin) });
  }
}
