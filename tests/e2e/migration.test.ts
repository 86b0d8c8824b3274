import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, symlinkSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { until } from "../helpers/until.ts";

/** What the pages about moving show is run, with stock SDKs, against `trunkline dev`. */

const ROOT = join(import.meta.dir, "../..");
const stack = new AsyncDisposableStack();
let instance: TestInstance;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "trunkline-"));
  stack.defer(() => rm(dir, { recursive: true }));
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  instance = stack.use(await startInstance({ command: "dev" }));
}, 60_000);

afterAll(() => stack.disposeAsync());

/** The JavaScript of a page, block by block. */
function blocks(page: string): string[] {
  const text = readFileSync(join(ROOT, "docs", page), "utf8");
  return [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code!);
}

/** Runs a block as it stands, but for the port, in a process of its own. */
async function run(code: string): Promise<{ output: () => string } & Disposable> {
  const { hostname, port } = new URL(instance.url);
  const file = join(dir, `${crypto.randomUUID()}.mjs`);
  await Bun.write(file, code.replaceAll("localhost", hostname).replaceAll("8080", port));
  const child = Bun.spawn([process.execPath, file], {
    ...{ stdout: "pipe", stderr: "pipe", cwd: dir },
    env: { ...process.env, TRUNKLINE_API_KEYS: TEST_API_KEY },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    void (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of stream) output += decoder.decode(chunk, { stream: true });
    })();
  }
  return { output: () => output, [Symbol.dispose]: () => child.kill("SIGKILL") };
}

/** Waits for a process to say something; what it has said instead is in the error. */
async function says(output: () => string, text: string): Promise<void> {
  await until(() => output().includes(text)).catch(() => {
    throw new Error(`no "${text}" in: ${output()}`);
  });
}

/** Runs clients of a page (by their place), then its server, the last one, until all have said what they must. */
async function moves(page: string, clients: readonly number[], text: string): Promise<void> {
  const all = blocks(page);
  using processes = new DisposableStack();
  const listening: (() => string)[] = [];
  for (const place of clients) {
    const { output } = processes.use(await run(all[place]!));
    await says(output, "subscribed");
    listening.push(output);
  }
  const { output: server } = processes.use(await run(all.at(-1)!));
  await says(server, "published true");
  for (const output of listening) await says(output, text);
}

describe("the page for those who come from", () => {
  test("Centrifugo", () => moves("from-centrifugo.md", [0], "client has over HTTP"));
  test("Socket.IO", () => moves("from-socket-io.md", [0], "greeted by Ann"));
  test("Pusher, soketi or Reverb", () => moves("from-pusher.md", [0, 1], "greeted by Ann"));
});

test("the HTTP API's page", async () => {
  const [publish] = blocks("pusher-http-api.md");
  using once = await run(`${publish!}\nconsole.log("done");`);
  await says(once.output, "done");
  expect(once.output().trim()).toBe("done");
});
