import { randomBytes } from "node:crypto";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { SignJWT } from "jose";
import logUpdate from "log-update";
import { subjects } from "../core/subject.ts";
import { utf8Encoder } from "../core/text.ts";
import { type Assets, loadAssets } from "../http/assets.ts";
import { ChildError } from "../process/error.ts";
import type { Server } from "../runtime/runtime.ts";
import type { Latency } from "../world/links.ts";
import { WorldError, type WorldEvent, type WorldOptions } from "../world/options.ts";
import { type Sample, watcher } from "../world/watch.ts";
import { startWorld, type World } from "../world/world.ts";
import { detectRuntime } from "./detect-runtime.ts";
import { mappings } from "./nats/account.ts";
import { print, UserError } from "./output.ts";
import { parseInteger } from "./parse-integer.ts";
import { readSettings } from "./settings.ts";
import { createWorldApp, type WorldControl } from "./world-page.ts";
import { fullView, lineView } from "./world-view.ts";

export interface DevWorldFlags {
  readonly regions: string;
  readonly instances?: string;
  readonly latency?: string;
  readonly json?: boolean;
  readonly config?: string;
  readonly port?: string;
  /** Key of the server API, the same on every instance. */
  readonly apiKey: string;
}

const LOOPBACK = "127.0.0.1";
const PAGE = "/console/world";
const DEFAULT_PORT = 8080;
const TOKEN_LIFE = "12h";
/** How often the world is looked at, ms. */
const EVERY_MS = 1_000;
/** Looks for each line where nothing can be redrawn. */
const LOOKS_PER_LINE = 5;
/** Events shown at once. */
const RECENT = 6;

/**
 * `trunkline dev --regions`: a world of several regions on this machine, its live view and its page, until Ctrl+C. A
 * second one ends it at once.
 */
export async function devWorld(flags: DevWorldFlags): Promise<void> {
  const output = outputOf(flags);
  const port = parseInteger("--port", flags.port ?? String(DEFAULT_PORT), 65_535, { least: 0 });
  const secrets = { token: randomBytes(32).toString("hex"), apiKey: flags.apiKey };
  const { config } = await readSettings({ file: flags.config, profile: "dev" });
  const options: WorldOptions = {
    ...worldOptions(flags),
    natsConfig: mappings(subjects(config.nats.root), config.namespaces).join("\n"),
    command: "dev",
    secrets,
    ...(port > 0 && { pagePort: port, port: port + 1 }),
    ...(flags.config && { env: { TRUNKLINE_CONFIG: flags.config } }),
    onEvent: output.event,
  };
  const stop = new AbortController();
  const signalled = () => {
    // Before there is a world, and the second time: children are killed when this process exits.
    if (stop.signal.aborted || !started) process.exit(130);
    stop.abort();
  };
  let started = false;
  for (const signal of SIGNALS) process.on(signal, signalled);
  try {
    await using world = await startWorld(options);
    started = true;
    const look = watcher(world);
    let sample = await look();
    const page = await servePage(world, port, () => sample, secrets.token);
    const pageUrl = `http://${LOOPBACK}:${page.port}${PAGE}`;
    output.welcome(sample, pageUrl);
    while (!stop.signal.aborted) {
      output.show(sample, pageUrl);
      await sleep(EVERY_MS, undefined, { signal: stop.signal }).catch(() => {});
      sample = await look();
    }
    output.done("stopping …");
    await page.close();
    await world.drain();
  } catch (error) {
    throw error instanceof WorldError || error instanceof ChildError ? new UserError(error.message) : error;
  } finally {
    for (const signal of SIGNALS) process.off(signal, signalled);
  }
  // Connections kept alive to what is gone must not keep this process.
  process.exit(0);
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Where all of it is told: redrawn on a terminal, else in lines, or as JSON. */
interface Output {
  event(event: WorldEvent): void;
  welcome(sample: Sample, pageUrl: string): void;
  show(sample: Sample, pageUrl: string): void;
  done(text: string): void;
}

function outputOf({ json }: DevWorldFlags): Output {
  if (json) {
    return {
      event: (event) => print(JSON.stringify({ event })),
      welcome: (_, pageUrl) => print(JSON.stringify({ page: pageUrl })),
      show: (sample) => print(JSON.stringify({ sample })),
      done: () => {},
    };
  }
  if (process.stdout.isTTY) return redrawn();
  let looks = 0;
  return {
    event: (event) => print(inWords(event)),
    welcome(sample, pageUrl) {
      for (const { name, instances } of sample.regions) {
        print(`${name}: demo page ${instances.map(({ url }) => url).join(" ")}`);
      }
      print(`world page: ${pageUrl}`);
    },
    show: (sample) => {
      if (looks++ % LOOKS_PER_LINE === 0) print(lineView(sample));
    },
    done: print,
  };
}

function redrawn(): Output {
  const events: string[] = [];
  let starting = true;
  return {
    event(event) {
      const time = new Date().toLocaleTimeString("en-GB");
      events.push(`${time}  ${inWords(event)}`);
      events.splice(0, events.length - RECENT);
      if (starting) logUpdate(`  starting …\n${events.map((text) => `  ${text}`).join("\n")}`);
    },
    welcome() {
      starting = false;
      events.length = 0;
    },
    show: (sample, pageUrl) => logUpdate(fullView(sample, { pageUrl, events })),
    done(text) {
      logUpdate.done();
      print(`  ${text}`);
    },
  };
}

function inWords({ what, name, state }: WorldEvent): string {
  return `${{ instance: "instance", nats: "NATS of", redis: "Redis in", link: "link" }[what]} ${name} ${state}`;
}

function worldOptions({ regions, instances = "1", latency = "real" }: DevWorldFlags): WorldOptions {
  return {
    regions: /^\d+$/.test(regions) ? Number(regions) : regions.split(","),
    instances: parseInteger("--instances", instances, 20),
    latency: latencyOf(latency),
  };
}

function latencyOf(text: string): Latency {
  return text === "real" || text === "off"
    ? text
    : parseInteger("--latency", text, 60_000, { least: 0, or: ["real", "off"] });
}

/** Serves the page of the world to browsers on this machine. */
async function servePage(
  world: World,
  port: number,
  sample: () => Sample,
  tokenSecret: string,
): Promise<Server> {
  const key = utf8Encoder.encode(tokenSecret);
  const control: WorldControl = {
    sample,
    clientToken: (user) =>
      new SignJWT()
        .setProtectedHeader({ alg: "HS256" })
        .setSubject(user)
        .setExpirationTime(TOKEN_LIFE)
        .sign(key),
    actions: { kill: (name) => world.region(name).kill(), heal: (name) => world.region(name).heal() },
    links: { cut: (a, b) => world.links.cut(a, b), heal: (a, b) => world.links.heal(a, b) },
  };
  const assets = await pageAssets();
  const secret = randomBytes(32).toString("hex");
  const hosts: string[] = [];
  const app = createWorldApp({ assets, control, secret, hosts });
  const runtime = await detectRuntime();
  try {
    const server = runtime.serve({
      hostname: LOOPBACK,
      port,
      maxFrameBytes: 0,
      backpressureBytes: 0,
      maxRequestBytes: 1024,
      fetch: app,
    });
    hosts.push(`${LOOPBACK}:${server.port}`, `localhost:${server.port}`);
    return server;
  } catch (error) {
    throw new UserError(`port ${port} cannot be listened on (${(error as Error).message}); try --port`);
  }
}

/** The page's own files, and what it shares with the demo page. */
async function pageAssets(): Promise<Assets> {
  const [shared, own] = [await loadAssets("console"), await loadAssets("console/world")];
  const files = [...own].map(([path, asset]) => [path === "/" ? PAGE : path, asset] as const);
  return new Map([...[...shared].filter(([path]) => path !== "/"), ...files]);
}
