import type { Config } from "../config.ts";
import type { Runtime, ServeOptions, Server } from "../runtime/runtime.ts";
import { socketOptions } from "./instance-options.ts";
import { startError } from "./start-step.ts";

type Own = Pick<ServeOptions, "port" | "fetch" | "reusePort" | "upgradeHeaders" | "proxyProtocol" | "tls"> & {
  readonly host: string;
};

/** Opens a port of an instance, with the bounds of its settings. @throws UserError that names address and port */
export function serveOn(
  { config, runtime }: { readonly config: Config; readonly runtime: Runtime },
  { host: hostname, ...options }: Own,
): Server {
  const bounds = socketOptions(config, runtime);
  try {
    return runtime.serve({ hostname, ...options, ...bounds });
  } catch (error) {
    throw startError(`listen on ${hostname}, port ${options.port}`, error);
  }
}
