import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { connect, type NatsConnection } from "nats";
import { freePort } from "../../src/process/ports.ts";
import { testClient } from "../helpers/clients.ts";
import { startInstance } from "../helpers/instances.ts";
import { ensureServer, redisServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** `deploy/nats`: the super-cluster as its start script makes it, with the users and rights it ships. */

const SCRIPT = new URL("../../deploy/nats/entrypoint.sh", import.meta.url).pathname;
const SECRETS = {
  GATEWAY_PASSWORD: "12345678",
  PUBLISHER_PASSWORD: "148e12",
  ADMIN_PASSWORD: "admin-secret",
  CLUSTER_PASSWORD: "cluster_secret",
};

interface Servers extends AsyncDisposable {
  readonly urls: Readonly<Record<string, string>>;
}

async function superCluster(...regions: string[]): Promise<Servers> {
  const dir = await mkdtemp(join(tmpdir(), "trunkline-deploy-"));
  const ports = await Promise.all(
    regions.map(async (region) => ({
      region,
      client: await freePort(),
      cluster: await freePort(),
      gateway: await freePort(),
      monitor: await freePort(),
    })),
  );
  const peers = ports.map(({ region, gateway }) => `${region}=127.0.0.1:${gateway}`).join(",");
  const children: Subprocess[] = ports.map(({ region, client, cluster, gateway, monitor }) => {
    const log = Bun.file(join(dir, `${region}.log`));
    return Bun.spawn(["sh", SCRIPT], {
      env: {
        PATH: `${process.env.PATH}:/usr/sbin`,
        NATS_SERVER_BIN: ensureServer("nats-server"),
        REGION: region,
        SERVER_NAME: `${region}-1`,
        PEERS: peers,
        LISTEN: "127.0.0.1",
        ADVERTISE: `127.0.0.1:${gateway}`,
        CLIENT_PORT: String(client),
        CLUSTER_PORT: String(cluster),
        GATEWAY_PORT: String(gateway),
        MONITOR_PORT: String(monitor),
        DATA: join(dir, region),
        MAX_FILE: "1GB",
        ...SECRETS,
      },
      stdin: "ignore",
      stdout: log,
      stderr: log,
    });
  });
  return {
    urls: Object.fromEntries(ports.map(({ region, client }) => [region, `nats://127.0.0.1:${client}`])),
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map(({ exited }) => exited));
      await rm(dir, { recursive: true, force: true });
    },
  };
}

test("three regions become one: a service publishes in one, clients in the others get it and recover", async () => {
  await using servers = await superCluster("iad", "fra", "sin");
  await using redis = await redisServer();
  const password = SECRETS.PUBLISHER_PASSWORD;
  const service: NatsConnection = await until(
    () =>
      connect({
        ...{ servers: servers.urls.sin ?? "", user: "publisher", pass: password },
        inboxPrefix: "rtinbox.publisher",
      }).catch(() => undefined),
    { what: "nats-server in sin" },
  );
  try {
    const js = service.jetstream();
    const instance = (region: string) =>
      startInstance({
        env: {
          REGION: region,
          NATS_URL: servers.urls[region] ?? "",
          TRUNKLINE_NATS_USER: "gateway",
          TRUNKLINE_NATS_PASSWORD: SECRETS.GATEWAY_PASSWORD,
          REDIS_URL: redis.url,
        },
      });
    await using iad = await instance("iad");
    await using fra = await instance("fra");
    using ann = testClient(iad.websocket, { user: "ann" });
    using bob = testClient(fra.websocket, { user: "bob" });
    await ann.connected();
    await bob.connected();
    const [atIad, atFra] = [await ann.subscribe("chat:room"), await bob.subscribe("chat:room")];
    await until(() => js.publish("rt.chat.room", JSON.stringify({ n: 1 })).catch(() => undefined), {
      what: "the stream to store a message from sin",
    });
    await until(() => atIad.received.length === 1 && atFra.received.length === 1, { what: "both to get it" });
    const back = bob.connected();
    bob.breakLink();
    await js.publish("rt.chat.room", JSON.stringify({ n: 2 }));
    await back;
    await until(() => atFra.received.length === 2, { what: "bob to recover the second" });
    expect(atFra.data()).toEqual([{ n: 1 }, { n: 2 }]);
    expect(atFra.subscribed.at(-1)).toMatchObject({ wasRecovering: true, recovered: true });

    // What a service may not: forge what gateways listen to.
    const refused = (async () => {
      for await (const { type, data } of service.status()) {
        if (String(type) === "error") return String(data);
      }
      return "";
    })();
    service.publish("rtl.chat.room", "{}");
    expect(await refused).toMatch(/PERMISSIONS_VIOLATION/i);
  } finally {
    await service.close();
  }
}, 60_000);

test("the start script names what is missing, and takes no password that a configuration would misread", () => {
  const run = (env: Record<string, string>) => {
    const { exitCode, stderr } = Bun.spawnSync(["sh", SCRIPT], {
      env: { PATH: process.env.PATH ?? "", ...env },
    });
    return { exitCode, said: stderr.toString() };
  };
  expect(run({})).toMatchObject({ said: expect.stringContaining("REGION is not set") });
  expect(run({ REGION: "iad" }).said).toContain("GATEWAY_PASSWORD is not set");
  const odd = run({ REGION: "iad", ...SECRETS, ADMIN_PASSWORD: 'a"b' });
  expect(odd.said).toContain("ADMIN_PASSWORD: use letters");
  expect(odd.said).not.toContain('a"b');
  expect(run({ REGION: "iad", ...SECRETS }).said).toContain("PEERS is not set");
});
