import { expect, test } from "bun:test";
import { MAIN } from "../helpers/bench.ts";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { natsServer } from "../helpers/servers.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

/** Starts `trunkline bench check` against instances of tests. */
function checking(targets: readonly string[], ...args: string[]) {
  const { NATS_URL: _, ...given } = process.env;
  const child = Bun.spawn([process.execPath, MAIN, "bench", "check", "--target", targets.join(), ...args], {
    env: { ...given, TRUNKLINE_TOKEN_SECRET: TEST_SECRET, TRUNKLINE_API_KEYS: TEST_API_KEY },
    stdout: "pipe",
    stderr: "pipe",
  });
  const output = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { child, output: output.then((texts) => texts.join("")) };
}

async function metric({ url }: TestInstance, name: string): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^trunkline_${name} (.*)$`, "m").exec(page)?.[1]);
}

const bare = (websocket: string) => websocket.replace(/\/connection.*/, "");

test("bench check says good of instances of which one is killed, over NATS and over the server API", async () => {
  await using nats = await natsServer();
  const env = { NATS_URL: nats.url };
  await using a = await startInstance({ env });
  await using b = await startInstance({ env });
  const load = ["-n", "10", "--rate", "40", "--seconds", "4", "--channels", "2", "--json"];
  // The first publishes through the instance that dies, and must go on with the other one.
  const runs = [[], ["--nats", nats.url]].map((more) =>
    checking([bare(a.websocket), bare(b.websocket)], ...load, ...more),
  );
  // Both runs publish, and have half of their clients on either.
  await until(async () => (await metric(a, "connections")) === 10);
  const before = await metric(b, "publications_total");
  await until(async () => (await metric(b, "publications_total")) > before + 10);
  await a.kill();
  for (const { child, output } of runs) {
    const text = await output;
    expect(await child.exited, text).toBe(0);
    const result = JSON.parse(text);
    expect(result).toMatchObject({ verdict: "good", problems: [], clients: 10, reconnects: 5, stranded: 0 });
    expect(result.counts).toMatchObject({
      lost: 0,
      duplicated: 0,
      reordered: 0,
      recoveries: 5,
      discontinuities: 0,
      contradicted: 0,
      altered: 0,
      forgotten: 0,
    });
    expect(result.storeUnread).toBe("");
    expect(result.counts.compared).toBeGreaterThanOrEqual(result.counts.acked);
    expect(result.counts.acked).toBeGreaterThan(30);
    expect(result.disturbances).toMatchObject([{ clients: 5, silent: 0, maxMs: expect.any(Number) }]);
  }
}, 30_000);

test("bench check says BAD, with exit code 1, of clients that are gone for good and of nothing delivered", async () => {
  await using instance = await startInstance();
  const { child, output } = checking(
    [bare(instance.websocket)],
    "-n",
    "3",
    "--seconds",
    "2",
    "--channels",
    "1",
  );
  await until(async () => (await metric(instance, "deliveries_total")) > 0);
  await instance.kill();
  const text = await output;
  expect(text).toMatch(/BAD\n {2}3 clients did not come back/);
  expect(await child.exited).toBe(1);
}, 40_000);

test("bench check says what is wrong with what it was told", async () => {
  const refused = checking(["http://127.0.0.1:1"]);
  expect(await refused.output).toContain("it must be addresses such as ws://host:port");
  expect(await refused.child.exited).toBe(1);
});
