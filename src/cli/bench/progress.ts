import process from "node:process";
import { SingleBar } from "cli-progress";
import type { StageProgress } from "../../bench/load/run.ts";

/** Shows a progress bar for each stage of a run, on terminals. */
export function progress(): { show(stage: StageProgress): void; stop(): void } {
  const { show, stop } = bars();
  return {
    show: ({ round, target, name, done, total }) => show(`round ${round}, ${target}: ${name}`, done, total),
    stop,
  };
}

/** Shows one progress bar after another, on terminals: a new one starts when `what` changes. */
export function bars(): { show(what: string, done: number, total: number): void; stop(): void } {
  if (!process.stderr.isTTY) return { show() {}, stop() {} };
  const bar = new SingleBar({
    format: "{what} [{bar}] {value}/{total}",
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    barCompleteChar: "█",
    barIncompleteChar: "·",
  });
  let current = "";
  return {
    show(what, done, total) {
      if (what !== current) {
        bar.stop();
        bar.start(total, 0, { what: what.padEnd(40) });
        current = what;
      }
      bar.update(Math.min(done, total));
    },
    stop: () => bar.stop(),
  };
}
