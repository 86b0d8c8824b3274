import process from "node:process";
import { SingleBar } from "cli-progress";
import type { Stage } from "../bench/run.ts";

/** A bar for each stage of a run, on terminals. */
export function progress(): { show(stage: Stage): void; stop(): void } {
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
    show({ round, target, name, done, total }) {
      const what = `round ${round}, ${target}: ${name}`.padEnd(40);
      if (what !== current) {
        bar.stop();
        bar.start(total, 0, { what });
        current = what;
      }
      bar.update(Math.min(done, total));
    },
    stop: () => bar.stop(),
  };
}
