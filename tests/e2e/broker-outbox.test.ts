import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Outbox } from "../../src/broker/outbox.ts";
import { CONTRACT_NAMESPACES } from "../contract/broker.ts";
import { type NatsFixture, natsFixture } from "../helpers/nats-fixture.ts";
import { tcpProxy } from "../helpers/proxy.ts";
import { until } from "../helpers/until.ts";

/** The outbox on NATS when links, streams and servers go. */

const OPTIONS = { maxAgeMs: 600_000, maxItems: 1_000, leaseTtlMs: 1_500, leaseRenewMs: 200 };

let fixture: NatsFixture;
let proxy: Awaited<ReturnType<typeof tcpProxy>>;
let a: Outbox;
let b: Outbox;

beforeAll(async () => {
  fixture = await natsFixture(CONTRACT_NAMESPACES);
  proxy = await tcpProxy(fixture.server.port);
  const one = await fixture.broker({ servers: [`nats://127.0.0.1:${proxy.port}`], pingIntervalMs: 500 });
  const two = await fixture.broker();
  a = await one.broker.outbox(OPTIONS);
  await until(() => a.leading);
  b = await two.broker.outbox(OPTIONS);
}, 30_000);

afterAll(async () => {
  await Promise.all([a.close(), b.close()]);
  await proxy[Symbol.asyncDispose]();
  await fixture[Symbol.asyncDispose]();
});

/** Nothing while NATS is away. */
const texts = async (outbox: Outbox, line: string): Promise<string[]> =>
  (await outbox.read(line, 100).catch(() => [])).map(({ text }) => text);

test("who cannot renew its lease stops leading before another begins, and does not lead when it is back", async () => {
  let both = 0;
  let none = 0;
  const watch = setInterval(() => {
    if (a.leading && b.leading) both++;
    if (!a.leading && !b.leading) none++;
  }, 5);
  proxy.blackhole();
  a.put("line", "put while the link is away");
  await until(() => b.leading, { what: "the other one to lead" });
  proxy.heal();
  await until(async () => (await texts(b, "line")).length === 1, { what: "what was put meanwhile" });
  clearInterval(watch);
  expect({ both, leading: [a.leading, b.leading] }).toEqual({ both: 0, leading: [false, true] });
  expect(none).toBeGreaterThan(0);
});

test("what is put while NATS is away is stored in order when it is back, and the lease is held again", async () => {
  await fixture.server.kill();
  for (const text of ["1", "2", "3"]) b.put("away", text);
  await fixture.server.restart();
  await until(() => b.leading || a.leading, { what: "one to lead" });
  await until(async () => (await texts(b, "away")).length === 3, { what: "what was put" });
  expect(await texts(b, "away")).toEqual(["1", "2", "3"]);
});

test("a stream that is deleted is made anew, and lines begin again", async () => {
  b.put("anew", "old");
  await until(async () => (await texts(b, "anew")).length === 1);
  await b.done("anew", (await b.read("anew", 1))[0]!.seq);
  const back = () =>
    fixture.nc.flush().then(
      () => true,
      () => false,
    );
  await until(back, { what: "the connection of the test" });
  await (await fixture.nc.jetstreamManager()).streams.delete("RT_WEBHOOKS");
  b.put("anew", "new");
  await until(async () => (await texts(b, "anew")).includes("new"), {
    what: "the new stream",
  });
  await until(() => b.leading || a.leading, { what: "one to lead" });
  expect(await texts(b, "anew")).toEqual(["new"]);
});

test("of several that begin at once, one leads", async () => {
  const brokers = await Promise.all(Array.from({ length: 4 }, () => fixture.broker({ root: "race" })));
  const all = await Promise.all(brokers.map(({ broker }) => broker.outbox(OPTIONS)));
  await until(() => all.some((one) => one.leading));
  const end = performance.now() + 3 * OPTIONS.leaseRenewMs;
  await until(() => {
    expect(all.filter((one) => one.leading).length).toBe(1);
    return performance.now() > end;
  });
  await Promise.all(all.map((one) => one.close()));
});
