import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";

export interface Program {
  /** Arguments of the runtime that runs this process: a script and its own arguments. */
  readonly args: readonly string[];
  /** The whole environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** A `worker` has an IPC channel and writes to our output; a `server` has neither. */
  readonly role: "worker" | "server";
}

/** One process that was started here. */
export interface Child {
  readonly process: ChildProcess;
  /** The last of what a server has written, for an error's text. */
  output(): string;
  /** SIGTERM, and SIGKILL when it is not gone soon. Idempotent. */
  stop(): Promise<void>;
}

const OUTPUT_CHARS = 4_000;
const STOP_MS = 5_000;

/** Every process a run has started: none outlives it, however it ends (but for SIGKILL of this very process). */
export class Children implements AsyncDisposable {
  readonly #all = new Set<Child>();
  readonly #killAll = () => {
    for (const child of this.#all) child.process.kill("SIGKILL");
  };

  constructor() {
    process.on("exit", this.#killAll);
  }

  start({ args, env, role }: Program): Child {
    const own = spawn(process.execPath, args, {
      env: env as NodeJS.ProcessEnv | undefined,
      stdio: role === "worker" ? ["ignore", "inherit", "inherit", "ipc"] : ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [own.stdout, own.stderr]) {
      stream?.setEncoding("utf8");
      stream?.on("data", (text: string) => {
        output = (output + text).slice(-OUTPUT_CHARS);
      });
    }
    const exited = once(own, "exit");
    const child: Child = {
      process: own,
      output: () => output.trim(),
      stop: async () => {
        own.kill("SIGTERM");
        const force = setTimeout(() => own.kill("SIGKILL"), STOP_MS);
        await exited.finally(() => clearTimeout(force));
      },
    };
    this.#all.add(child);
    exited.then(
      () => this.#all.delete(child),
      () => this.#all.delete(child), // it could not be started, which whoever waits for it will see
    );
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#all].map((child) => child.stop()));
    process.off("exit", this.#killAll);
  }
}
