import { expect, test } from "bun:test";
import { type Link, openLink } from "../../src/broker/nats/link/link.ts";
import { Requests } from "../../src/broker/nats/link/requests.ts";
import { silent } from "../../src/core/log.ts";
import { Stats } from "../../src/core/stats.ts";
import { natsServer, type TestServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

const open = (servers: readonly TestServer[]) =>
  openLink({
    ...{ servers: servers.map(({ url }) => url), name: "test", log: silent, stats: new Stats() },
    ...{ pingIntervalMs: 5_000, connectTimeoutMs: 5_000 },
  });

const at = ({ nc }: Link) => Number(nc.getServer().split(":").at(-1));
const outcome = (requests: Requests, subject: string) =>
  requests.ask(subject, "", 300).then(
    () => "answered",
    ({ why }: { why: string }) => why,
  );

test("a hung server is left for another one as soon as something is not answered", async () => {
  await using a = await natsServer();
  await using b = await natsServer();
  const link = await open([a, b]);
  const requests = new Requests(link);
  const [own, other] = at(link) === a.port ? [a, b] : [b, a];
  expect(await outcome(requests, "$JS.API.INFO")).toBe("answered");
  own.pause();
  const begin = performance.now();
  expect(await outcome(requests, "$JS.API.INFO")).toBe("timeout");
  await until(() => link.connected && at(link) === other.port, {
    what: "the other server",
    timeoutMs: 10_000,
  });
  const movedMs = performance.now() - begin;
  expect(movedMs).toBeLessThan(6_000);
  expect(await outcome(requests, "$JS.API.INFO")).toBe("answered");
  console.log(`a hung NATS server: on another one after ${Math.round(movedMs)} ms`);
  own.resume();
  await link.close();
}, 20_000);

test("a service that does not answer, and a hung server that is the only one, are no reason to go", async () => {
  await using a = await natsServer();
  await using b = await natsServer();
  const [both, alone] = [await open([a, b]), await open([a])];
  for (const link of [both, alone]) link.nc.subscribe("mute", { callback: () => {} });
  await both.nc.flush();
  await alone.nc.flush();
  const requests = [new Requests(both), new Requests(alone)];
  for (const one of requests) expect(await outcome(one, "mute")).toBe("timeout");
  const server = at(both) === a.port ? a : b;
  const before = [both.generation, alone.generation];
  a.pause();
  expect(await outcome(requests[1]!, "$JS.API.INFO")).toBe("timeout");
  await Bun.sleep(3_000);
  a.resume();
  expect(alone.generation).toBe(before[1]!);
  if (server === b) expect(both.generation).toBe(before[0]!);
  for (const link of [both, alone]) await link.close();
}, 20_000);
