import { join, resolve } from "node:path";
import process from "node:process";
import { until } from "./until.ts";

const EXAMPLES = join(import.meta.dir, "../../examples");

/** A running example. */
export interface Example extends AsyncDisposable {
  /** http://localhost:port, without a slash at its end. */
  readonly url: string;
}

/** Path of an example's folder; a whole path stays what it is. */
export function exampleFolder(name: string): string {
  return resolve(EXAMPLES, name);
}

/** Runs a step of a page to its end, and gives what it wrote to stdout. @throws with what it said, when it fails */
export async function step(
  cwd: string,
  command: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const child = Bun.spawn([...command], {
    ...{ cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    env: { ...process.env, ...env },
  });
  const said = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")} failed:\n${said.join("\n")}`);
  return said[0]!;
}

interface ExampleOptions {
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where it will answer, for a program that does not say so. */
  readonly url?: string;
}

/** Starts an example, and waits until it says `listening on <url>`, or answers. Without a PORT it takes a free one. */
export async function startExample(name: string, options: ExampleOptions = {}): Promise<Example> {
  const { command = [process.execPath, "server.ts"], env = {}, url } = options;
  const child = Bun.spawn([...command], {
    ...{ cwd: exampleFolder(name), stdin: "ignore", stdout: "pipe", stderr: url ? "ignore" : "inherit" },
    env: { ...process.env, PORT: "0", ...env },
  });
  const dispose = async () => {
    child.kill("SIGKILL");
    await child.exited;
  };
  const said = saidUrl(child.stdout);
  if (url === undefined) return { url: await said, [Symbol.asyncDispose]: dispose };
  said.catch(() => undefined);
  await until(
    () =>
      fetch(url).then(
        () => true,
        () => child.exitCode !== null,
      ),
    { what: `${name} to answer` },
  );
  if (child.exitCode !== null) throw new Error(`${name} ended before it answered`);
  return { url, [Symbol.asyncDispose]: dispose };
}

/** The address that a program says it listens on. Goes on reading, so that it may go on writing. */
async function saidUrl(stdout: ReadableStream<Uint8Array>): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const read = async () => {
    let said = "";
    for await (const bytes of stdout) {
      if (said.length < 10_000) said += new TextDecoder().decode(bytes);
      const url = /listening on (http\S+?)\/?\s/.exec(said)?.[1];
      if (url) resolve(url);
    }
    reject(new Error(`it ended before it listened: ${said}`));
  };
  read().catch(reject);
  return await promise;
}
