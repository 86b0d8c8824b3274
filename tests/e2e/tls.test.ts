import { afterAll, beforeAll, expect, test } from "bun:test";
import { nkeys } from "nats";
import { freePort } from "../../src/process/ports.ts";
import { type Certificates, certificates } from "../helpers/certificates.ts";
import { testClient } from "../helpers/clients.ts";
import { doctor } from "../helpers/doctor.ts";
import { type RuntimeName, startInstance } from "../helpers/instances.ts";
import { natsServer, redisServer, type TestServer } from "../helpers/servers.ts";
import { until } from "../helpers/until.ts";

/** NATS and Redis behind TLS, with a CA of the test's own; both ask for certificates. */

let stack: AsyncDisposableStack;
let made: Certificates;
let strangers: Certificates;
let nats: TestServer;
let env: Record<string, string>;

beforeAll(async () => {
  stack = new AsyncDisposableStack();
  made = stack.use(await certificates());
  strangers = stack.use(await certificates());
  const { ca, server, client } = made;
  const user = nkeys.createUser();
  const seed = `${made.ca}.nk`;
  await Bun.write(seed, new TextDecoder().decode(user.getSeed()));
  nats = stack.use(
    await natsServer(
      `tls { cert_file: "${server.cert}", key_file: "${server.key}", ca_file: "${ca}", verify: true }\n` +
        `authorization { users: [ { nkey: ${user.getPublicKey()} } ] }`,
    ),
  );
  const tls = ["--tls-cert-file", server.cert, "--tls-key-file", server.key, "--tls-ca-cert-file", ca];
  const tlsPort = await freePort();
  stack.use(await redisServer("--tls-port", String(tlsPort), ...tls, "--tls-auth-clients", "yes"));
  env = {
    NATS_URL: nats.url.replace("nats://", "tls://"),
    REDIS_URL: `rediss://127.0.0.1:${tlsPort}`,
    TRUNKLINE_NATS_NKEY_SEED_FILE: seed,
    ...Object.fromEntries(
      ["NATS", "REDIS"].flatMap((name) => [
        [`TRUNKLINE_${name}_TLS_CA_FILE`, ca],
        [`TRUNKLINE_${name}_TLS_CERT_FILE`, client.cert],
        [`TRUNKLINE_${name}_TLS_KEY_FILE`, client.key],
      ]),
    ),
  };
}, 60_000);

afterAll(() => stack.disposeAsync());

test.each<RuntimeName>(["bun", "deno"])(
  "%s: an instance works over TLS, with its certificate and an nkey",
  async (runtime) => {
    await using instance = await startInstance({ env, runtime });
    using ann = testClient(instance.websocket, { user: "ann" });
    await ann.connected();
    const sub = await ann.subscribe(`chat:tls-${runtime}`);
    await instance.api("publish", { channel: `chat:tls-${runtime}`, data: { n: 1 } });
    await until(() => sub.received.length === 1);
    await until(async () => (await sub.sub.presenceStats()).numClients === 1);
    expect(instance.output.join("\n")).not.toContain("degraded");
    const report = await doctor({ env, runtime });
    expect([report.one("redis").verdict, report.one("nats rights").verdict]).toEqual(["ok", "ok"]);
  },
  60_000,
);

test("a server that a stranger has certified is not spoken to, and an unreadable file is named", async () => {
  const wrong = { ...env, TRUNKLINE_NATS_TLS_CA_FILE: strangers.ca };
  const report = await doctor({ env: wrong });
  expect(report.code).toBe(1);
  expect(report.checks.find(({ check }) => check === "nats")?.verdict).toBe("failed");
  const missing = { ...env, TRUNKLINE_NATS_TLS_KEY_FILE: "/nowhere/gateway.key" };
  await expect(startInstance({ env: missing })).rejects.toThrow(
    /\/nowhere\/gateway.key .ENOENT.; check nats.tlsKeyFile/,
  );
  const half: Record<string, string> = { ...env };
  delete half.TRUNKLINE_REDIS_TLS_KEY_FILE;
  await expect(startInstance({ env: half })).rejects.toThrow(/redis.tlsCertFile and redis.tlsKeyFile/);
}, 60_000);
