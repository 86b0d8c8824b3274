import { afterAll, beforeAll, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startInstance, type TestInstance } from "../helpers/instances.ts";
import { until } from "../helpers/until.ts";

let instance: TestInstance;
beforeAll(async () => {
  instance = await startInstance({ command: "dev" });
}, 60_000);
afterAll(() => instance[Symbol.asyncDispose]());

test("the raw session of docs/protocol.md runs, and gets what the page says", async () => {
  const page = await Bun.file(join(import.meta.dir, "../../docs/protocol.md")).text();
  const [, snippet = ""] = /```ts\n(const \{ token \}[\s\S]*?)```/.exec(page) ?? [];
  expect(snippet.trim().split("\n").length).toBeLessThanOrEqual(12);
  const file = join(tmpdir(), `session-${crypto.randomUUID()}.ts`);
  await Bun.write(file, snippet.replaceAll("localhost:8080", new URL(instance.url).host));
  const session = Bun.spawn([process.execPath, file], { stdout: "pipe", stderr: "inherit" });
  let output = "";
  void (async () => {
    for await (const chunk of session.stdout) output += new TextDecoder().decode(chunk);
  })();
  const said = () =>
    output
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  try {
    await until(() => said().length >= 5, { what: "four answers and a push" });
    expect(said()).toContainEqual(expect.objectContaining({ id: 1, connect: expect.anything() }));
    expect(said()).toContainEqual(expect.objectContaining({ id: 2, subscribe: expect.anything() }));
    expect(said()).toContainEqual({ id: 3, publish: {} });
    expect(said()).toContainEqual(expect.objectContaining({ id: 4, history: expect.anything() }));
    expect(said().find(({ push }) => push)).toMatchObject({
      push: { channel: "chat:room.42", pub: { data: { text: "hi" }, info: { user: "ann" } } },
    });
  } finally {
    session.kill("SIGKILL");
    await session.exited;
    await Bun.file(file).delete();
  }
}, 30_000);
