import { cp, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../helpers/until.ts";
import { bunBackend } from "./backends/backend.ts";

/*
 * One backend in several languages: each answers every callout in the same way, with nothing but what its language brings
 * along (but for FastAPI).
 */

const HERE = join(import.meta.dir, "backends");
const CACHE = process.env.TRUNKLINE_COMPAT_CACHE ?? join(tmpdir(), "trunkline-compat");

interface Backend extends AsyncDisposable {
  readonly url: string;
}

/** There is no such language on this machine, or a package of it cannot be had. */
export class Missing extends Error {}

/** Starts a backend. @throws Missing */
type Start = () => Promise<Backend>;

function needs(program: string): void {
  if (!Bun.which(program)) throw new Missing(`there is no ${program} on this machine`);
}

/** A program whose first line is its port. */
async function program(command: readonly string[], cwd = HERE): Promise<Backend> {
  const child = Bun.spawn([...command], { cwd, stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  const dispose = async () => {
    child.kill("SIGKILL");
    await child.exited;
  };
  const reader = child.stdout.getReader();
  let said = "";
  while (!said.includes("\n")) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`${command[0]} ended before it listened`);
    said += new TextDecoder().decode(value);
  }
  return { url: `http://127.0.0.1:${Number(said)}`, [Symbol.asyncDispose]: dispose };
}

/** Runs a step of getting ready. @throws Missing when it fails */
async function step(cwd: string, ...command: string[]): Promise<void> {
  needs(command[0]!);
  const child = Bun.spawn(command, { cwd, stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const errors = await new Response(child.stderr).text();
  if ((await child.exited) !== 0)
    throw new Missing(`${command.join(" ")}: ${errors.trim().split("\n").at(-1)}`);
}

async function python(): Promise<Backend> {
  needs("python3");
  return await program(["python3", "backend.py"]);
}

async function fastapi(): Promise<Backend> {
  const folder = join(CACHE, "callouts");
  await mkdir(folder, { recursive: true });
  await step(folder, "python3", "-m", "venv", "venv");
  const interpreter = join(folder, "venv/bin/python");
  await step(HERE, interpreter, "-m", "pip", "install", "-q", "-r", "requirements.txt");
  return await program([interpreter, "backend_fastapi.py"]);
}

async function ruby(): Promise<Backend> {
  needs("ruby");
  return await program(["ruby", "backend.rb"]);
}

async function php(): Promise<Backend> {
  needs("php");
  const free = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const address = `127.0.0.1:${free.port}`;
  await free.stop(true);
  const child = Bun.spawn(["php", "-S", address, "backend.php"], {
    ...{ cwd: HERE, stdin: "ignore", stdout: "ignore", stderr: "ignore" },
    env: { ...process.env, PHP_CLI_SERVER_WORKERS: "4" },
  });
  const url = `http://${address}`;
  await until(() =>
    fetch(url, { method: "POST", body: "{}" }).then(
      () => true,
      () => false,
    ),
  );
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM"); // which its workers hear of, too
      await child.exited;
    },
  };
}

async function go(): Promise<Backend> {
  const folder = join(CACHE, "callouts-go");
  await cp(join(HERE, "go"), folder, { recursive: true });
  await step(folder, "go", "build", "-o", "backend", ".");
  return await program([join(folder, "backend")]);
}

/** By what they are written in. */
export const BACKENDS: Readonly<Record<string, Start>> = {
  Bun: async () => bunBackend(),
  "Python's standard library": python,
  FastAPI: fastapi,
  "plain Ruby": ruby,
  PHP: php,
  Go: go,
};
