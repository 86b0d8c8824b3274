import process from "node:process";

/** Whether a command was asked to stop, as long as it runs. */
export interface Interruption extends Disposable {
  readonly signal: AbortSignal;
}

/** Aborts its signal at the first SIGINT or SIGTERM; at the second the process ends at once, and kills its children. */
export function interruption(): Interruption {
  const controller = new AbortController();
  const interrupted = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on("SIGINT", interrupted).on("SIGTERM", interrupted);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => void process.off("SIGINT", interrupted).off("SIGTERM", interrupted),
  };
}
