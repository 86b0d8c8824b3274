import type { Logger } from "../core/log.ts";
import type { OtherSignal, Runtime } from "../runtime/runtime.ts";

const IGNORED: readonly OtherSignal[] = ["SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGIO"];

/**
 * Lets signals do nothing but be logged: by default each would end the process, and with it every connection, without a
 * drain. Returns its own removal.
 */
export function ignoreSignals(runtime: Runtime, log: Logger): () => void {
  const removals = IGNORED.map((signal) =>
    runtime.onSignal(signal, () =>
      log.warn("signal ignored: SIGHUP reloads the settings, SIGTERM drains", { signal }),
    ),
  );
  return () => {
    for (const remove of removals) remove();
  };
}
