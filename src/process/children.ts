import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { ChildError } from "./error.ts";
import { Guard } from "./guard.ts";

export interface Program {
  /** Path or name of the program; without it, the runtime of this process. */
  readonly command?: string;
  readonly args: readonly string[];
  /** The whole environment; without it, that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** A `worker` has an IPC channel and writes to our output; a `server` has neither. */
  readonly role: "worker" | "server";
  /** In a session of its own: a Ctrl+C in the terminal is not for it. */
  readonly detached?: boolean;
}

/** One process that was started here. */
export interface Child {
  readonly process: ChildProcess;
  /** It has ended, or was never started. */
  readonly gone: boolean;
  /** Resolves when it has ended, however it did. */
  readonly exited: Promise<void>;
  /** The last of what a server has written, for an error's text. */
  output(): string;
  /** SIGTERM, and SIGKILL when it is not gone soon. Idempotent. */
  stop(): Promise<void>;
}

const OUTPUT_CHARS = 4_000;
const STOP_MS = 5_000;
const START_MS = 20_000;

/** Every process a run has started: none outlives it, however it ends. */
export class Children implements AsyncDisposable {
  readonly #all = new Set<Child>();
  readonly #environment: Readonly<Record<string, string>>;
  readonly #guard = new Guard();
  readonly #killAll = () => this.kill();

  /** @param environment added to that of each process */
  constructor(environment: Readonly<Record<string, string>> = {}) {
    this.#environment = environment;
    process.on("exit", this.#killAll);
  }

  /** Ends all at once (SIGKILL), without waiting for it. */
  kill(): void {
    for (const child of this.#all) child.process.kill("SIGKILL");
  }

  start({ command = process.execPath, args, env, role, detached = false }: Program): Child {
    const own = spawn(command, args, {
      env: { ...(env ?? process.env), ...this.#environment } as NodeJS.ProcessEnv,
      detached,
      stdio: role === "worker" ? ["ignore", "inherit", "inherit", "ipc"] : ["ignore", "pipe", "pipe"],
    });
    const { pid } = own;
    if (pid !== undefined) this.#guard.watch(pid);
    let output = "";
    for (const stream of [own.stdout, own.stderr]) {
      stream?.setEncoding("utf8");
      stream?.on("data", (text: string) => {
        output = (output + text).slice(-OUTPUT_CHARS);
      });
    }
    let gone = false;
    const exited = once(own, "exit")
      .catch((error: Error) => {
        output += error.message; // it could not be started
      })
      .then(() => {
        gone = true;
        this.#all.delete(child);
        if (pid !== undefined) this.#guard.forget(pid);
      });
    const child: Child = {
      process: own,
      get gone() {
        return gone;
      },
      exited,
      output: () => output.trim(),
      stop: async () => {
        own.kill("SIGTERM");
        const force = setTimeout(() => own.kill("SIGKILL"), STOP_MS);
        await exited;
        clearTimeout(force);
      },
    };
    this.#all.add(child);
    return child;
  }

  /** A folder for temporary files of this run: it goes with it, even when this process is killed. */
  watchFolder(path: string): void {
    this.#guard.watchFolder(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#all].map((child) => child.stop()));
    this.#guard.close();
    process.off("exit", this.#killAll);
  }
}

/**
 * Waits until `probe` finds something, which it returns.
 * @throws ChildError with what the child has written, when it ends or does not become ready in time
 */
export async function started<T>(
  child: Child,
  what: string,
  probe: () => Promise<T> | T,
): Promise<NonNullable<T>> {
  const end = Date.now() + START_MS;
  for (;;) {
    const found = await probe();
    if (found) return found;
    const { gone } = child;
    if (gone || Date.now() > end) {
      await child.stop();
      throw new ChildError(
        `${what} ${gone ? "ended" : "did not become ready in time"}:\n${child.output() || "(it printed nothing)"}`,
      );
    }
    await sleep(20);
  }
}
