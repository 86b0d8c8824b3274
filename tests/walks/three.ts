import { join } from "node:path";
import { freePort } from "../../src/process/ports.ts";
import { testClient } from "../helpers/clients.ts";
import { natsServer, redisServer, testServer } from "../helpers/servers.ts";
import { haproxyProxy } from "../helpers/shipped-proxy.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";
import { type Packed, run, started } from "./package.ts";

const MONITORING = join(import.meta.dir, "../../deploy/monitoring");

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data?: { readonly result: readonly { readonly value: readonly [number, string] }[] };
}

/**
 * Three instances on NATS and Redis behind HAProxy, with the shipped files: a message goes from one instance to a client of
 * another, Prometheus sees all three under the shipped rules, and answers every question of the dashboard.
 */
export async function threeInstances(from: Packed): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = await from.folder("three");
  await run(folder, ["npm", "init", "--yes"]);
  await run(folder, ["npm", "install", from.tarball]);
  const namespaces = { chat: { subscribe: "authenticated", history: { size: 10, age: "1m" } } };
  await Bun.write(join(folder, "trunkline.json"), JSON.stringify({ namespaces }));
  const [nats, redis] = [stack.use(await natsServer()), stack.use(await redisServer())];
  const ports = await Promise.all(Array.from({ length: 3 }, () => freePort()));
  for (const [index, port] of ports.entries()) {
    stack.use(
      started(folder, ["npx", "trunkline", "serve", "--config", "trunkline.json"], {
        ...{ PORT: `${port}`, TRUNKLINE_HOST: "127.0.0.1", INSTANCE_ID: `walk-${index}`, REGION: "fra" },
        ...{ NATS_URL: nats.url, REDIS_URL: redis.url, TRUNKLINE_TOKEN_SECRET: TEST_SECRET },
        ...{ TRUNKLINE_HTTP_PUBLIC_METRICS: "true", TRUNKLINE_API_KEYS: KEY },
        ...{ TRUNKLINE_TRUSTED_PROXY: "header", TRUNKLINE_PROXY_CIDRS: "127.0.0.0/8" },
      }),
    );
  }
  const ready = (port: number) =>
    fetch(`http://127.0.0.1:${port}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  for (const port of ports) await until(() => ready(port), { what: "an instance", timeoutMs: 60_000 });
  const proxy = stack.use(await haproxyProxy({ gateways: ports }));
  const prometheus = stack.use(await prometheusServer(ports));

  const clients = ["ann", "bob", "cem"].map((user) =>
    stack.use(testClient(proxy.websocket, { user, websocket: Trusting })),
  );
  await Promise.all(clients.map((client) => client.connected()));
  const rooms = await Promise.all(clients.map((client) => client.subscribe("chat:walk")));
  const response = await fetch(`http://127.0.0.1:${ports[0]}/api/publish`, {
    ...{ method: "POST", headers: { "X-API-Key": KEY } },
    body: JSON.stringify({ channel: "chat:walk", data: "hello" }),
  });
  if (!response.ok) throw new Error(await response.text());
  for (const room of rooms) await until(() => room.data().includes("hello"));

  const ask = async (query: string) => {
    const url = `${prometheus.url}/api/v1/query?query=${encodeURIComponent(query)}`;
    return (await (await fetch(url)).json()) as Answer;
  };
  const value = async (query: string) => Number((await ask(query)).data?.result[0]?.value[1]);
  const seen = async () =>
    (await value('sum(up{job="trunkline"})')) === 3 && (await value("sum(trunkline_connections)")) === 3;
  await until(seen, { what: "Prometheus to see three instances and clients", timeoutMs: 30_000 });
  const { panels } = (await Bun.file(join(MONITORING, "grafana.json")).json()) as {
    panels: { title: string; targets?: { expr: string }[] }[];
  };
  for (const { title, targets = [] } of panels) {
    for (const { expr } of targets) {
      const query = expr.replaceAll("$__rate_interval", "1m").replaceAll(/"\$\w+"|"\$\{\w+\}"/g, '".*"');
      const { status, error } = await ask(query);
      if (status !== "success") throw new Error(`${title}: ${error}: ${query}`);
    }
  }
}

/** The proxy's certificate is nobody's. */
class Trusting extends WebSocket {
  constructor(url: string) {
    super(url, { tls: { rejectUnauthorized: false } } as unknown as string[]);
  }
}

const KEY = "a-key-of-the-walk-which-is-long-enough";

/** Prometheus with the shipped rules, looking at instances each second. */
function prometheusServer(ports: readonly number[]) {
  return testServer(
    async (port, dir) => {
      const targets = ports.map((one) => `127.0.0.1:${one}`);
      const config = {
        global: { scrape_interval: "1s", evaluation_interval: "1s" },
        rule_files: [join(MONITORING, "alerts.yaml")],
        scrape_configs: [{ job_name: "trunkline", static_configs: [{ targets }] }],
      };
      await Bun.write(join(dir, "prometheus.yml"), JSON.stringify(config));
      return [
        ...["prometheus", `--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/data`],
        `--web.listen-address=127.0.0.1:${port}`,
      ];
    },
    (port) => `http://127.0.0.1:${port}`,
  );
}
