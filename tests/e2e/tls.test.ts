import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFile } from "node:fs/promises";
import { Centrifuge } from "centrifuge";
import { nkeys } from "nats";
import { respLink } from "../../src/presence/redis/link-resp.ts";
import { freePort } from "../../src/process/ports.ts";
import { type Certificates, certificates, replaceCertificates } from "../helpers/certificates.ts";
import { testClient } from "../helpers/clients.ts";
import { doctor } from "../helpers/doctor.ts";
import { type RuntimeName, startInstance, TEST_API_KEY } from "../helpers/instances.ts";
import { natsServer, redisServer, type TestServer } from "../helpers/servers.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";
import { upstashBridge } from "../helpers/upstash-bridge.ts";

/** NATS and Redis behind TLS, with a CA of the test's own; both ask for certificates. */

let stack: AsyncDisposableStack;
let made: Certificates;
let strangers: Certificates;
let nats: TestServer;
let redis: TestServer;
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
  redis = stack.use(await redisServer("--tls-port", String(tlsPort), ...tls, "--tls-auth-clients", "yes"));
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

test("bun and deno: presence on a Redis Cluster over TLS, with a login", async () => {
  const [tlsPort, busPort] = [await freePort(), await freePort()];
  const { ca, server, client } = made;
  const tls = ["--tls-cert-file", server.cert, "--tls-key-file", server.key, "--tls-ca-cert-file", ca];
  await using node = await redisServer(
    ...["--cluster-enabled", "yes", "--cluster-port", String(busPort), "--requirepass", "p@ss/word"],
    ...["--tls-port", String(tlsPort), ...tls, "--tls-auth-clients", "yes", "--tls-cluster", "yes"],
  );
  const direct = respLink({ url: node.url.replace("//", "//:p%40ss%2Fword@") });
  await direct.send([["CLUSTER", "ADDSLOTSRANGE", 0, 16_383]], 5_000);
  await until(async () => String((await direct.send([["CLUSTER", "INFO"]], 5_000))[0]).includes("state:ok"));
  const url = `rediss-cluster://:p%40ss%2Fword@127.0.0.1:${tlsPort}`;
  const own = {
    REDIS_URL: url,
    TRUNKLINE_REDIS_TLS_CA_FILE: ca,
    TRUNKLINE_REDIS_TLS_CERT_FILE: client.cert,
    TRUNKLINE_REDIS_TLS_KEY_FILE: client.key,
  };
  for (const runtime of ["bun", "deno"] as const) {
    await using instance = await startInstance({ env: own, runtime });
    using ann = testClient(instance.websocket, { user: "ann" });
    await ann.connected();
    const sub = await ann.subscribe(`chat:tls-${runtime}`);
    await until(async () => (await sub.sub.presenceStats()).numClients === 1);
    // It is there, in a key with the tag of a part.
    const [keys] = await direct.send([["KEYS", `tl:{*}:pres:chat:tls-${runtime}`]], 5_000);
    expect(keys).toHaveLength(1);
    const report = await doctor({ env: own, runtime });
    expect(
      report.checks.filter(({ check }) => check.startsWith("redis")).map(({ verdict }) => verdict),
    ).toEqual(
      // One node alone has no replica.
      ["ok", "ok", "warning", "ok", "ok", "ok", "ok"],
    );
    expect(instance.output.join("\n") + report.output).not.toMatch(/degraded|p@ss|p%40ss/);
  }
  direct.close();
}, 60_000);

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

/** A stock client that trusts one CA alone. */
function trustingClient(url: string, ca: string, user: string): Centrifuge & Disposable {
  class Trusting extends WebSocket {
    constructor(address: string) {
      super(address, { tls: { ca } } as never);
    }
  }
  const centrifuge = new Centrifuge(url, {
    websocket: Trusting,
    getToken: async () => connectionToken({ user }),
  });
  return Object.assign(centrifuge, { [Symbol.dispose]: () => centrifuge.disconnect() });
}

test.each<RuntimeName>(["bun", "deno"])(
  "%s: speaks TLS to clients, and takes a changed certificate without cutting them",
  async (runtime) => {
    await using first = await certificates();
    await using second = await certificates();
    const [ca, nextCa] = await Promise.all([first.ca, second.ca].map((path) => Bun.file(path).text()));
    const files = { TRUNKLINE_TLS_CERT_FILE: first.server.cert, TRUNKLINE_TLS_KEY_FILE: first.server.key };
    await using instance = await startInstance({ env: files, runtime });
    expect(instance.url).toStartWith("https://");
    const publish = (trusted: string) =>
      fetch(`${instance.url}/api/publish`, {
        method: "POST",
        headers: { "X-API-Key": TEST_API_KEY },
        body: JSON.stringify({ channel: "chat:x", data: 1 }),
        keepalive: false,
        tls: { ca: trusted },
      });
    using ann = trustingClient(instance.websocket, ca!, "ann");
    const seen = { ann: 0, bob: 0, disconnects: 0 };
    ann.on("disconnected", () => seen.disconnects++).on("connecting", () => seen.disconnects++);
    const subscribe = async (client: Centrifuge, name: "ann" | "bob") => {
      client.connect();
      const sub = client.newSubscription("chat:x");
      sub.on("publication", () => seen[name]++);
      sub.subscribe();
      await sub.ready();
    };
    await subscribe(ann, "ann");
    seen.disconnects = 0;

    // The certificate first: with the key of the one before it is of no use, and the one before stays.
    await copyFile(second.server.cert, first.server.cert);
    await until(() => instance.lines.some(({ message }) => String(message).includes("cannot be used")));
    expect((await publish(ca!)).status).toBe(200);
    await copyFile(second.server.key, first.server.key);
    await until(() => instance.lines.some(({ message }) => message === "the new certificate is in use"));

    using bob = trustingClient(instance.websocket, nextCa!, "bob");
    await subscribe(bob, "bob");
    await expect(fetch(`${instance.url}/healthz`, { keepalive: false, tls: { ca: ca! } })).rejects.toThrow();
    expect((await publish(nextCa!)).status).toBe(200);
    await until(() => seen.ann === 2 && seen.bob === 1);
    await ann.publish("chat:x", 2);
    await until(() => seen.ann === 3 && seen.bob === 2);
    expect(seen.disconnects).toBe(0);
    const metrics = await (await fetch(`${instance.url}/metrics`, { tls: { ca: nextCa! } })).text();
    expect(Number(/^trunkline_certificate_expires_seconds (\S+)/m.exec(metrics)?.[1])).toBeGreaterThan(
      Date.now() / 1000,
    );
    expect((await doctor({ env: files, runtime })).one("certificate").verdict).toBe("warning");
  },
  60_000,
);

test("mistakes in the certificate are named at the start, and nothing of the key", async () => {
  const { server, client } = made;
  const start = (cert: string, key: string) =>
    startInstance({ env: { TRUNKLINE_TLS_CERT_FILE: cert, TRUNKLINE_TLS_KEY_FILE: key } }).then(
      () => "started",
      String,
    );
  expect(await start(server.cert, client.key)).toContain("does not belong to the private key");
  expect(await start(server.key, server.key)).toContain("holds no certificate in PEM form");
  expect(await start("/nowhere/x.pem", server.key)).toContain("/nowhere/x.pem (ENOENT); check tls.certFile");
  expect(await start(server.cert, "")).toContain("it needs its private key");
}, 60_000);

test.each<RuntimeName>(["bun", "deno"])(
  "%s: presence over REST with a CA of one's own",
  async (runtime) => {
    const { server, ca } = made;
    await using plain = await upstashBridge(redis.port);
    using secure = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      tls: { cert: Bun.file(server.cert), key: Bun.file(server.key) },
      fetch: (request) => fetch(plain.url + new URL(request.url).pathname, request),
    });
    const upstash = {
      UPSTASH_REDIS_REST_URL: `https://127.0.0.1:${secure.port}`,
      UPSTASH_REDIS_REST_TOKEN: plain.token,
    };
    const trusting = await doctor({ env: { ...upstash, TRUNKLINE_UPSTASH_TLS_CA_FILE: ca }, runtime });
    expect(trusting.one("redis").verdict).toBe("ok");
    const stranger = await doctor({
      env: { ...upstash, TRUNKLINE_UPSTASH_TLS_CA_FILE: strangers.ca },
      runtime,
    });
    expect(stranger.one("redis").verdict).toBe("failed");
  },
  60_000,
);

// The last one: it changes the files of all.
test("after a change of CA and certificates, links that come back use the new ones", async () => {
  await using next = await certificates();
  const lease = { TRUNKLINE_PRESENCE_LEASE_TTL: "3s", TRUNKLINE_PRESENCE_LEASE_RENEW: "1s" };
  await using instance = await startInstance({ env: { ...env, ...lease } });
  using ann = testClient(instance.websocket, { user: "ann" });
  await ann.connected();
  const { sub } = await ann.subscribe("chat:renewed");
  await replaceCertificates(made, next);
  for (const server of [nats, redis]) {
    await server.kill();
    await server.restart();
  }
  await until(() => instance.lines.some(({ message }) => message === "reconnected to NATS"));
  await until(() => instance.api("publish", { channel: "chat:renewed", data: 1 }).catch(() => false));
  await until(
    async () =>
      (await instance.api<{ partial?: boolean }>("presence_stats", { channel: "chat:renewed" })).partial !==
      true,
    {
      timeoutMs: 40_000,
    },
  );
  expect((await sub.presenceStats()).numClients).toBe(1);
}, 90_000);
