import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, symlinkSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
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
  // Without a key of one's own the pages' one is in effect.
  instance = stack.use(await startInstance({ command: "dev", env: { TRUNKLINE_API_KEYS: "" } }));
}, 60_000);

afterAll(() => stack.disposeAsync());

/** The JavaScript of a page, block by block. */
function blocks(page: string): string[] {
  const text = readFileSync(join(ROOT, "docs", page), "utf8");
  return [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code!);
}

/** Runs a block as it stands, but for the address, in a process of its own. */
async function run(code: string): Promise<{ output: () => string } & Disposable> {
  const { host, hostname, port } = new URL(instance.url);
  const file = join(dir, `${crypto.randomUUID()}.mjs`);
  await Bun.write(
    file,
    code.replaceAll("localhost:8080", host).replaceAll("127.0.0.1", hostname).replaceAll("8080", port),
  );
  const child = Bun.spawn([process.execPath, file], { stdout: "pipe", stderr: "pipe", cwd: dir });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    void (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of stream) output += decoder.decode(chunk, { stream: true });
    })();
  }
  return { output: () => output, [Symbol.dispose]: () => child.kill("SIGKILL") };
}

/** Runs the client of a page, then what its server does, until both have said what they must. */
async function moves(page: string, clientSays: readonly string[], serverSays: string): Promise<void> {
  const [client, server] = blocks(page);
  using one = await run(client!);
  await until(() => one.output().includes("subscribed"), { what: `the client of ${page}: ${one.output()}` });
  using other = await run(server!);
  await until(() => other.output().includes(serverSays), {
    what: `the server of ${page}: ${other.output()}`,
  });
  for (const text of clientSays) {
    await until(() => one.output().includes(text), { what: `"${text}" of ${page}: ${one.output()}` });
  }
}

describe("the page for those who come from", () => {
  test("Centrifugo", () => moves("from-centrifugo.md", ["client has over HTTP"], "published true"));
  test("Socket.IO", () => moves("from-socket-io.md", ["greeted by Ann"], "published true"));
});

test("the HTTP API's page", async () => {
  const [publish] = blocks("pusher-http-api.md");
  using once = await run(`${publish!}\nconsole.log("done");`);
  await until(() => once.output().includes("done"), { what: `the call: ${once.output()}` });
  expect(once.output().trim()).toBe("done");
});
