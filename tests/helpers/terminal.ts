import { join } from "node:path";
import { ensureServer } from "./servers.ts";
import { until } from "./until.ts";

const ROOT = join(import.meta.dir, "../..");
const CTRL_C = "\x03";

/** What no command may show: a stack, or a value that nobody made a text of. */
export const NO_NOISE = /^\s+at .*:\d+:\d+|TypeError|undefined is not|\bundefined\b|\[object Object\]/m;

export interface Run {
  readonly args: readonly string[];
  /** What must have been shown; then, for what does not end by itself, Ctrl+C is typed. */
  readonly shows: RegExp;
  readonly interrupt?: true;
  readonly code?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a command under a pseudo terminal, as a person would. */
export async function inTerminal(command: string, { args, shows, interrupt, env }: Run) {
  const words = [process.execPath, join(ROOT, "src/main.ts"), command, ...args];
  const line = `stty rows 50 cols 120; exec ${words.map((word) => `'${word}'`).join(" ")}`;
  const { PATH = "", HOME = "" } = process.env;
  const child = Bun.spawn(["script", "-qec", line, "/dev/null"], {
    cwd: ROOT,
    env: {
      ...{ PATH, HOME, TERM: "xterm-256color", SHELL: "/bin/sh", COLUMNS: "120" },
      ...{ NATS_SERVER_BIN: ensureServer("nats-server"), REDIS_SERVER_BIN: ensureServer("redis-server") },
      ...env,
    },
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  let output = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) output += decoder.decode(chunk, { stream: true });
  })();
  if (interrupt) {
    await until(() => shows.test(output) || child.exitCode !== null, {
      what: `${line} to show`,
      timeoutMs: 40_000,
    });
    child.stdin.write(CTRL_C);
    await child.stdin.flush();
  }
  const code = await child.exited;
  await reading;
  return { code, output };
}
