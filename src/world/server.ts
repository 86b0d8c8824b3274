import { type Child, type Children, type Program, started } from "../process/children.ts";
import { ChildError } from "../process/error.ts";

/** A process of the world that can be killed and started again on the same port and files. */
export interface Server {
  readonly pid: number | undefined;
  readonly alive: boolean;
  /** The last of what it has written. */
  output(): string;
  /** Ends it at once (SIGKILL) and waits for its end. */
  kill(): Promise<void>;
  /** Starts it again, and waits until it answers; does nothing where it runs. */
  restart(): Promise<void>;
  /** SIGSTOP and SIGCONT: a process that hangs. */
  pause(): void;
  resume(): void;
}

/** What the world itself may do with it. */
export interface ManagedServer extends Server {
  /** SIGTERM, and SIGKILL when it is not gone soon. */
  term(): Promise<void>;
}

export interface ServerOptions {
  /** For errors. */
  readonly name: string;
  readonly children: Children;
  /** Asked for each start. */
  program(): Omit<Program, "role">;
  /** Whether it can be used yet. */
  probe(output: string): Promise<boolean> | boolean;
  /** It has started, or ended in any way. */
  onChange?(alive: boolean): void;
}

/** @throws ChildError when it ends before it answers */
export async function startServer(options: ServerOptions): Promise<ManagedServer> {
  const { name, children, program, probe, onChange } = options;
  let child: Child | undefined;
  let starting: Promise<void> | undefined;
  const alive = () => child !== undefined && !child.gone;
  const start = async () => {
    const own = children.start({ ...program(), role: "server", detached: true });
    child = own;
    void own.exited.then(() => child === own && onChange?.(false));
    await started(own, name, () => probe(own.output()));
    onChange?.(true);
  };
  const restart = () => {
    if (alive()) return starting ?? Promise.resolve();
    starting = start().finally(() => {
      starting = undefined;
    });
    return starting;
  };
  await restart();
  return {
    get pid() {
      return child?.process.pid;
    },
    get alive() {
      return alive();
    },
    output: () => child?.output() ?? "",
    async kill() {
      child?.process.kill("SIGKILL");
      await child?.exited;
    },
    restart,
    pause: () => signal("SIGSTOP"),
    resume: () => signal("SIGCONT"),
    term: async () => await child?.stop(),
  };

  function signal(name: NodeJS.Signals): void {
    if (!alive()) throw new ChildError(`${options.name} is not running`);
    child!.process.kill(name);
  }
}
