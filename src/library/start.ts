import manifest from "../../package.json" with { type: "json" };
import type { MemoryBus } from "../broker/memory/bus.ts";
import { consoleLogger } from "../cli/console-log.ts";
import { detectRuntime } from "../cli/detect-runtime.ts";
import { startInstance } from "../cli/instance.ts";
import { UserError } from "../cli/output.ts";
import { buildParts } from "../cli/serve.ts";
import { type Config, loadConfig, startRefusals } from "../config.ts";
import type { Mount, Runtime } from "../runtime/runtime.ts";
import { appOperations } from "./operations.ts";
import { reloads } from "./reload.ts";
import { functionServices, settingsFor } from "./services.ts";
import { signToken } from "./token.ts";
import type { Trunkline, TrunklineOptions } from "./types.ts";

/** What tests of apps have beside. */
interface StartOptions {
  /** Holds history and delivers, in place of one that nobody else sees. */
  readonly bus?: (config: Config) => MemoryBus;
  /** It opens the port of the settings itself. */
  readonly ownPort?: boolean;
}

/** @throws UserError that lists what is wrong with the settings */
export async function start(options: TrunklineOptions, { bus, ownPort = false }: StartOptions = {}) {
  let { config } = readConfig(options);
  const runtime = await detectRuntime();
  const log = options.log ?? consoleLogger(config);
  let mount: Mount | undefined;
  const serve: Runtime["serve"] = (given) => (mount = runtime.mount(given));
  const own = bus?.(config);
  const parts = await buildParts(
    config,
    {
      version: manifest.version,
      services: (nats, timeoutMs) => functionServices(options, timeoutMs, nats),
      ...(own && { bus: own }),
    },
    ownPort ? runtime : { ...runtime, serve },
    log,
  );
  const instance = await startInstance(parts);
  let closed = false;
  const close = () => {
    closed = true;
    return instance.shutdown();
  };
  const reload = reloads({
    ...{ config, instance },
    read(settings) {
      if (closed) throw new UserError("the gateway is closed");
      const { config: next, named } = readConfig({ ...options, settings });
      return named ? next : { ...next, instanceId: config.instanceId };
    },
    changed(next) {
      config = next;
    },
  });
  const trunkline: Trunkline = {
    ...appOperations(instance.operations),
    fetch: async (request, server) => await mount!.fetch(request, server),
    websocket: mount?.websocket as Trunkline["websocket"],
    token: (claims) => signToken(config.auth.tokenSecret, claims),
    reload,
    close,
    [Symbol.asyncDispose]: close,
  };
  return { trunkline, instance, config };
}

/** @returns the settings, and whether they name the instance: else its name is made up each time */
function readConfig({ settings = {}, profile = "serve", ...services }: TrunklineOptions): {
  readonly config: Config;
  readonly named: boolean;
} {
  const result = loadConfig({
    env: {},
    file: JSON.stringify(settings),
    overrides: { ...settingsFor(services), "admin.port": 0 },
    profile,
  });
  const problems = result.problems ?? [...startRefusals(result.config)];
  if (result.problems || problems.length > 0) {
    throw new UserError(`the settings have mistakes:\n${problems.map((text) => `  ${text}`).join("\n")}`);
  }
  const named = result.effective.some(({ key, source }) => key === "instanceId" && source !== "default");
  return { config: result.config, named };
}
