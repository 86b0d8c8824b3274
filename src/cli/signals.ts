import type { Logger } from "../core/log.ts";
import type { IgnoredSignal, Runtime } from "../runtime/runtime.ts";

const RELOADS: readonly IgnoredSignal[] = ["SIGHUP", "SIGUSR1", "SIGUSR2"];

/**
 * Lets signals that make other servers reload do nothing but be logged: by default each would end the process, and with it
 * every connection, without a drain. Returns its own removal.
 */
export function ignoreReloads(
  runtime: Runtime,
  log: Logger,
  signals: readonly IgnoredSignal[] = RELOADS,
): () => void {
  const removals = signals.map((signal) =>
    runtime.onSignal(signal, () =>
      log.warn("signal ignored: settings are read at the start; SIGTERM drains", { signal }),
    ),
  );
  return () => {
    for (const remove of removals) remove();
  };
}
