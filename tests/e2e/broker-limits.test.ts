import { expect, test } from "bun:test";
import { join } from "node:path";
import { type NatsBrokerOptions, natsBroker } from "../../src/broker/nats/nats.ts";
import { parseChannel } from "../../src/core/channel.ts";
import { createLogger, type LogFields, silent } from "../../src/core/log.ts";
import { NAMESPACE_DEFAULTS } from "../../src/core/namespace.ts";
import { Stats } from "../../src/core/stats.ts";
import { freePort } from "../../src/process/ports.ts";
import { ensureServer, natsServer, testServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

const CHANNEL = parseChannel("chat:x");
const namespacesOf = (rules: object, replicas = 1) =>
  new Map([
    [
      "chat",
      {
        ...NAMESPACE_DEFAULTS,
        name: "chat",
        history: { size: 10, ageMs: 60_000, recoverLimit: 10, replicas },
        ...rules,
      },
    ],
  ]) as NatsBrokerOptions["namespaces"];

function brokerOn(servers: readonly string[], options: Partial<NatsBrokerOptions> = {}) {
  const common = { instance: "one", region: "here", log: silent, stats: new Stats() };
  return natsBroker({ ...common, servers, namespaces: namespacesOf({}), ...options });
}

/** JSON text of exactly `bytes` bytes. */
const textOf = (bytes: number) => JSON.stringify("x".repeat(bytes - 2));

test.each([65_536, 131_072, 1_048_576])(
  "a server that takes %d bytes is sent what fits, headers included, and nothing longer; start names what does not",
  async (maxPayload) => {
    await using nats = await natsServer(`max_payload: ${maxPayload}`);
    const lines: ({ message: string } & LogFields)[] = [];
    const log = createLogger("warn", (line) => lines.push(line));
    const namespaces = namespacesOf({ maxMessageBytes: 2 * maxPayload });
    const broker = brokerOn([nats.url], { namespaces, log, longestRequest: 10 });
    await broker.start();
    try {
      expect(lines).toMatchObject([{ maxPayload, allowed: `namespaces.chat.maxMessage ${2 * maxPayload}` }]);
      const info = { client: "c", user: "u", connInfo: textOf(2_000) };
      // The longest that is taken is found by halving, and is the server's limit less the headers.
      let fits = 1;
      let tooLong: number = maxPayload;
      const taken = (bytes: number) =>
        broker.publish(CHANNEL, textOf(bytes), { info }).then(
          () => true,
          ({ error }: { error?: { code: number } }) => {
            expect(error?.code).toBe(106);
            return false;
          },
        );
      while (tooLong - fits > 1) {
        const middle = (fits + tooLong) >> 1;
        if (await taken(Math.max(2, middle))) fits = middle;
        else tooLong = middle;
      }
      expect(maxPayload - fits).toBeWithin(2_000, 2_400);
      await broker.publish(CHANNEL, textOf(fits), { info });
      const { publications } = await broker.history(CHANNEL, { limit: 1, reverse: true });
      expect((publications[0]!.data as string).length).toBe(fits);
      // Three bytes a character: what counts is bytes.
      await broker.publish(CHANNEL, JSON.stringify("€".repeat(Math.floor((fits - 2_000) / 3))));
    } finally {
      await broker.close();
    }
  },
  30_000,
);

test("the stream of events takes the room the settings say, and an account that has no more starts", async () => {
  const room = 8 * 1024 ** 2;
  await using nats = await natsServer();
  await using small = await testServer(
    async (port, dir) => {
      const file = join(dir, "nats.conf");
      await Bun.write(
        file,
        `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${dir}/js", max_file: 64MB }\n`,
      );
      return [ensureServer("nats-server"), "-c", file];
    },
    (port) => `nats://127.0.0.1:${port}`,
  );
  for (const { url } of [nats, small]) {
    const broker = brokerOn([url], { eventStreamBytes: room });
    await broker.start();
    await (await broker.outbox({ maxAgeMs: 6e5, maxItems: 10, leaseTtlMs: 6e4, leaseRenewMs: 2e4 })).close();
    await broker.close();
  }
});

test("an instance that starts before all servers of its cluster have joined waits for them", async () => {
  const ports = [await freePort(), await freePort(), await freePort()];
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
  const member = (index: number) =>
    testServer(
      async (port, dir) => {
        const file = join(dir, "nats.conf");
        await Bun.write(
          file,
          `server_name: s${index}\nlisten: "127.0.0.1:${port}"\njetstream { store_dir: "${dir}/js" }\n` +
            `cluster { name: c, listen: "127.0.0.1:${ports[index]}", routes: [${routes}] }\n`,
        );
        return [ensureServer("nats-server"), "-c", file];
      },
      (port) => `nats://127.0.0.1:${port}`,
    );
  await using first = await member(0);
  await using _second = await member(1);
  const lines: string[] = [];
  const broker = brokerOn([first.url], {
    namespaces: namespacesOf({}, 3),
    // Debian's server is older than replicas should be; how one waits is the same.
    allowOldReplicas: true,
    log: createLogger("info", ({ message }) => lines.push(message)),
  });
  const started = broker.start();
  const outcome = started.then(
    () => "started",
    (error: Error) => error.message,
  );
  expect(await Promise.race([outcome, Bun.sleep(3_000).then(() => "waits")])).toBe("waits");
  await using _third = await member(2);
  expect(await outcome).toBe("started");
  await until(() => lines.includes("NATS broker"));
  await broker.close();
}, 40_000);
