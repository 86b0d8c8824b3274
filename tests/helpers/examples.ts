import { join } from "node:path";
import process from "node:process";

const EXAMPLES = join(import.meta.dir, "../../examples");

/** A running example. */
export interface Example extends AsyncDisposable {
  /** http://localhost:port, without a slash at its end. */
  readonly url: string;
}

/** Path of an example's folder. */
export function exampleFolder(name: string): string {
  return join(EXAMPLES, name);
}

/** Runs a step of an example's README to its end. @throws with what it said, when it fails */
export async function step(cwd: string, command: readonly string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([...command], {
    ...{ cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    env: { ...process.env, ...env },
  });
  const said = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")} failed:\n${said.join("\n")}`);
}

/** Starts an example, which says `listening on <url>` when it is ready. Without a PORT it takes a free one. */
export async function startExample(
  name: string,
  {
    command = [process.execPath, "server.ts"],
    env = {},
  }: { command?: string[]; env?: Record<string, string> } = {},
): Promise<Example> {
  const child = Bun.spawn(command, {
    ...{ cwd: exampleFolder(name), stdin: "ignore", stdout: "pipe", stderr: "inherit" },
    env: { ...process.env, PORT: "0", ...env },
  });
  let said = "";
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`${name} ended before it listened: ${said}`);
    said += value;
    const url = /listening on (http\S+?)\/?\s/.exec(said)?.[1];
    if (url === undefined) continue;
    void (async () => {
      while (!(await reader.read()).done); // so that it may go on writing
    })();
    return {
      url,
      async [Symbol.asyncDispose]() {
        child.kill("SIGKILL");
        await child.exited;
      },
    };
  }
}
