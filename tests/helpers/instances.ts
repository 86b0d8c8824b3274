import { fileURLToPath } from "node:url";
import type { Subprocess } from "bun";
import { TEST_SECRET } from "./tokens.ts";
import { until } from "./until.ts";

export type RuntimeName = "bun" | "deno";

/** Key of every test's server API. */
export const TEST_API_KEY = "an-api-key-of-tests";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** One running instance: the product's own command in a process of its own. */
export interface TestInstance extends AsyncDisposable {
  /** http://127.0.0.1:port */
  readonly url: string;
  /** ws://127.0.0.1:port/connection/websocket */
  readonly websocket: string;
  readonly pid: number;
  /** Lines it has logged, parsed. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** Everything it has written to stdout and stderr, by lines. */
  readonly output: readonly string[];
  /** Ends at once (SIGKILL) and resolves when it is gone. */
  kill(): Promise<void>;
  /** Asks it to drain and waits for its end. Returns the exit code. */
  terminate(): Promise<number>;
  signal(signal: NodeJS.Signals): void;
  readonly exited: Promise<number>;
  /** Calls the server API; returns the result or throws its error. */
  api<T = Record<string, unknown>>(method: string, params: object): Promise<T>;
}

export interface InstanceOptions {
  /** `dev` gives tokens to pages; default `serve`. */
  readonly command?: "serve" | "dev";
  readonly runtime?: RuntimeName;
  /** `undefined` takes away what is set otherwise. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Content of a configuration file. */
  readonly config?: object;
  /** Most descriptors of its process (`ulimit -n`); default: as many as the tests may have. */
  readonly descriptors?: number;
  /** The program to run, as one file; default this repository, by its runtime. */
  readonly binary?: string | undefined;
}

/** Starts `trunkline serve` (or `dev`) on a free port with the tests' secret and API key, and waits until it listens. */
export async function startInstance(options: InstanceOptions = {}): Promise<TestInstance> {
  const { command = "serve", runtime = "bun", env = {}, config, binary, descriptors } = options;
  const program = `${ROOT}/node_modules/.bin/${runtime}`;
  const file = config && `/tmp/trunkline-${crypto.randomUUID()}.json`;
  if (file) await Bun.write(file, JSON.stringify(config));
  const child: Subprocess<"ignore", "pipe", "pipe"> = Bun.spawn(
    [
      ...(descriptors === undefined ? [] : ["sh", "-c", `ulimit -n ${descriptors}; exec "$@"`, "sh"]),
      ...(binary === undefined
        ? [program, ...(runtime === "deno" ? ["run", "-A", "--no-prompt"] : []), `${ROOT}/src/main.ts`]
        : [binary]),
      command,
    ],
    {
      cwd: ROOT,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: {
        PATH: process.env.PATH ?? "",
        HOME: process.env.HOME ?? "/tmp",
        PORT: "0",
        TRUNKLINE_HOST: "127.0.0.1",
        TRUNKLINE_TOKEN_SECRET: TEST_SECRET,
        TRUNKLINE_API_KEYS: TEST_API_KEY,
        TRUNKLINE_LOG_FORMAT: "json",
        TRUNKLINE_HTTP_PUBLIC_METRICS: "true",
        TRUNKLINE_WEBHOOKS_ALLOWED_NETWORKS: "127.0.0.0/8",
        ...(file && { TRUNKLINE_CONFIG: file }),
        ...env,
      },
    },
  );
  const lines: Record<string, unknown>[] = [];
  const raw: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    void readLines(stream, (line) => {
      raw.push(line);
      if (line.startsWith("{")) lines.push(JSON.parse(line) as Record<string, unknown>);
    });
  }
  const listening = await until(
    () => {
      if (child.exitCode !== null)
        throw new Error(`${command} ended with ${child.exitCode}:\n${raw.join("\n")}`);
      return lines.find((line) => line.message === "listening");
    },
    { what: "an instance to listen", timeoutMs: 30_000 },
  ).catch((error: unknown) => {
    child.kill("SIGKILL");
    throw error;
  });
  const url = String(listening.url);
  const kill = async () => {
    child.kill("SIGKILL");
    await child.exited;
  };
  return {
    url,
    websocket: `${url.replace("http", "ws")}/connection/websocket`,
    pid: child.pid,
    lines,
    output: raw,
    kill,
    exited: child.exited,
    signal: (signal) => child.kill(signal),
    async terminate() {
      child.kill("SIGTERM");
      return await child.exited;
    },
    api: (method, params) => callApi(url, method, params),
    async [Symbol.asyncDispose]() {
      await kill();
      if (file) await Bun.file(file).delete();
    },
  };
}

/** Longer than any call takes; a test must say what it waits for. */
const API_TIMEOUT_MS = 15_000;

/** Calls the server API of an instance with the tests' key; returns the result or throws its error. */
export async function callApi<T>(url: string, method: string, params: object): Promise<T> {
  const response = await fetch(`${url}/api/${method}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-API-Key": TEST_API_KEY },
    body: JSON.stringify(params),
    signal: AbortSignal.timeout(API_TIMEOUT_MS),
  });
  const answer = (await response.json()) as { result?: T; error?: { code: number; message: string } };
  if (answer.error) throw Object.assign(new Error(answer.error.message), { code: answer.error.code });
  return answer.result as T;
}

async function readLines(stream: ReadableStream<Uint8Array>, each: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(each);
  }
}
