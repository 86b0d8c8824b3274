import { type ChildProcess, spawn } from "node:child_process";

/**
 * Reads "+pid", "-pid" and "/folder" lines until its input ends, which it does however the writer ends, SIGKILL
 * included; then it kills every process that was named and not taken back, and removes the folder named last.
 */
const SCRIPT = `
trap '' INT TERM HUP
pids=' ' folder=
while read -r line; do
  pid=\${line#?}
  case $line in
    +*) pids="$pids$pid " ;;
    /*) folder=$line ;;
    -*) case $pids in *" $pid "*) pids="\${pids%% $pid *} \${pids#* $pid }" ;; esac ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
[ -n "$folder" ] && sleep 0.2 && rm -rf -- "$folder"
`;

/** Sees to it that processes die with this one, even when it is killed without a chance to do so itself. */
export class Guard {
  readonly #shell: ChildProcess;

  constructor() {
    // In a session of its own: a Ctrl+C in the terminal is not for it.
    this.#shell = spawn("/bin/sh", ["-c", SCRIPT], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
      env: { PATH: "/usr/bin:/bin" },
    });
    this.#shell.on("error", () => {}); // no such shell: then processes can outlive a SIGKILL, and nothing else is lost
    this.#shell.stdin?.on("error", () => {});
    this.#shell.unref();
  }

  watch(pid: number): void {
    this.#shell.stdin?.write(`+${pid}\n`);
  }

  /** It has ended by itself: its number may belong to another one soon. */
  forget(pid: number): void {
    this.#shell.stdin?.write(`-${pid}\n`);
  }

  /** To be removed with all it holds. */
  watchFolder(path: string): void {
    if (path.startsWith("/") && !path.includes("\n")) this.#shell.stdin?.write(`${path}\n`);
  }

  close(): void {
    this.#shell.stdin?.end();
  }
}
