import { expect, test } from "bun:test";
import { join } from "node:path";
import { testTrunkline, until } from "../../src/library/testing.ts";
import { testClient } from "../helpers/clients.ts";

const ROOT = join(import.meta.dir, "../..");
const KEPT = { namespaces: { chat: { history: { size: 100, age: "1m" }, recovery: "stream" } } };

test("starts in well under a second, and says so of a broken link: what was missed is there again", async () => {
  await using trunkline = await testTrunkline({ settings: KEPT });
  using client = testClient(trunkline.websocketUrl, { user: undefined });
  await client.connected();
  const room = await client.subscribe("chat:1");
  await trunkline.publish("chat:1", 1);
  await until(() => room.data().length === 1);
  trunkline.breakLinks();
  await trunkline.publish("chat:1", 2);
  await until(() => room.data().length === 2);
  expect(room.data()).toEqual([1, 2]);
  expect(room.subscribed.at(-1)).toMatchObject({ wasRecovering: true, recovered: true });
});

test("lost history is told to those who come back", async () => {
  await using trunkline = await testTrunkline({ settings: KEPT });
  using client = testClient(trunkline.websocketUrl);
  await client.connected();
  const room = await client.subscribe("chat:1");
  await trunkline.publish("chat:1", 1);
  await until(() => room.data().length === 1);
  trunkline.forget("chat:");
  trunkline.breakLinks();
  await until(() => room.subscribed.some(({ wasRecovering, recovered }) => wasRecovering && !recovered));
});

test("while NATS is away publishes fail with the code of that, and go on when it is back", async () => {
  await using trunkline = await testTrunkline({ settings: KEPT });
  trunkline.setNatsAway(true);
  const code = await trunkline
    .publish("chat:1", 1)
    .catch(({ error }: { error: { code: number } }) => error.code);
  expect(code).toBeNumber();
  trunkline.setNatsAway(false);
  expect(await trunkline.publish("chat:1", 1)).toMatchObject({ offset: expect.any(Number) });
});

test("runs in tests of Deno, too", async () => {
  const child = Bun.spawn(
    [
      join(ROOT, "node_modules/.bin/deno"),
      "run",
      "-A",
      "--no-prompt",
      join(ROOT, "tests/programs/library-deno.ts"),
    ],
    { cwd: ROOT, stdout: "pipe", stderr: "pipe" },
  );
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  expect({ code: await child.exited, out, err }).toMatchObject({ code: 0, out: '["hello"]\n' });
}, 30_000);
