import { expect, test } from "bun:test";
import { parse, parseAllDocuments } from "yaml";

/** The files for Docker, Compose, Fly, Kubernetes and systemd say the same of ports, health, settings and secrets. */

const text = (path: string) => Bun.file(new URL(`../../${path}`, import.meta.url)).text();

interface Env {
  readonly name: string;
  readonly value?: string;
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

interface Pod {
  readonly containers: readonly {
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
    readonly env: readonly Env[];
    readonly envFrom: readonly { readonly secretRef: { readonly name: string } }[];
    readonly readinessProbe: Probe;
    readonly livenessProbe: Probe;
    readonly startupProbe: Probe;
  }[];
}

interface Fly {
  readonly env: Readonly<Record<string, string>>;
  readonly http_service: {
    readonly internal_port: number;
    readonly checks: readonly { readonly path: string }[];
  };
  readonly checks: Readonly<Record<string, { readonly path: string; readonly port: number }>>;
  readonly metrics: { readonly port: number; readonly path: string };
}

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      { readonly ports?: readonly string[]; readonly environment: Readonly<Record<string, string>> }
    >
  >;
}

const dockerfile = await text("deploy/Dockerfile");
const k8sText = await text("deploy/k8s/base/trunkline.yaml");
const k8s = parseAllDocuments(k8sText).map(
  (one) => one.toJS() as { kind: string; spec: Record<string, never> },
);
const ofKind = (kind: string) => k8s.find((one) => one.kind === kind)!;
const template = (
  ofKind("Deployment") as unknown as {
    spec: { template: { metadata: { annotations: Record<string, string> }; spec: Pod } };
  }
).spec.template;
const container = template.spec.containers[0]!;
const podEnv = new Map(container.env.map(({ name, value }) => [name, value]));
const flyText = await text("fly.toml");
const fly = Bun.TOML.parse(flyText) as unknown as Fly;
const composeText = await text("deploy/compose.yaml");
const gateways = Object.entries((parse(composeText, { merge: true }) as Compose).services).filter(([name]) =>
  name.startsWith("gateway-"),
);

test("clients reach one port, and metrics are on another that no service leads to", () => {
  const port = Number(/^EXPOSE (\d+)$/m.exec(dockerfile)?.[1]);
  expect(port).toBe(8080);
  const admin = 8081;
  expect(dockerfile).toContain(`PORT=${port}`);
  expect(gateways.flatMap(([, { ports = [] }]) => ports.map((one) => one.split(":").at(-1)))).toEqual(
    gateways.map(() => `${port}`),
  );
  expect([fly.http_service.internal_port, Number(fly.env.PORT), fly.checks.alive!.port]).toEqual([
    port,
    port,
    port,
  ]);
  expect(container.ports).toEqual([
    { name: "http", containerPort: port },
    { name: "admin", containerPort: admin },
  ]);
  const { ports } = ofKind("Service").spec as unknown as { ports: { targetPort: string }[] };
  expect(ports.map(({ targetPort }) => targetPort)).toEqual(["http"]);
  expect([fly.metrics, fly.env.TRUNKLINE_ADMIN_PORT]).toEqual([
    { port: admin, path: "/metrics" },
    `${admin}`,
  ]);
  expect(podEnv.get("TRUNKLINE_ADMIN_PORT")).toBe(`${admin}`);
  expect([podEnv.get("TRUNKLINE_ADMIN_HOST"), fly.env.TRUNKLINE_ADMIN_HOST]).toEqual(["0.0.0.0", "0.0.0.0"]);
  expect(template.metadata.annotations).toEqual({
    ...{ "prometheus.io/scrape": "true", "prometheus.io/port": `${admin}`, "prometheus.io/path": "/metrics" },
  });
});

test("whether clients may come is asked on /readyz, and whether the process answers on /healthz", () => {
  const { readinessProbe, livenessProbe, startupProbe } = container;
  expect(readinessProbe.httpGet).toEqual({ path: "/readyz", port: "http" });
  for (const probe of [livenessProbe, startupProbe])
    expect(probe.httpGet).toEqual({ path: "/healthz", port: "http" });
  expect(fly.http_service.checks.map(({ path }) => path)).toEqual(["/readyz"]);
  expect(Object.values(fly.checks).map(({ path }) => path)).toEqual(["/healthz"]);
  expect(dockerfile).toContain('CMD ["trunkline", "health"]');
});

/** Settings that are secrets, or may hold one, in every file that starts gateways; a login may stand in the URL. */
const SECRETS = ["TRUNKLINE_TOKEN_SECRET", "NATS_URL", "REDIS_URL"];

test("every variable is one that the gateway reads, and each file names the same secrets, and has none in it", async () => {
  const docs = await text("docs/config.md");
  // What the runtime reads, and not we.
  const foreign = ["BUN_JSC_forceRAMSize", "NODE_ENV"];
  const dockerEnv = [.../^ENV (.*)$/m.exec(dockerfile)![1]!.matchAll(/(\w+)=/g)].map(([, name]) => name!);
  const used = [
    ...[...podEnv.keys(), ...Object.keys(fly.env), ...dockerEnv],
    ...gateways.flatMap(([, { environment }]) => Object.keys(environment)),
  ];
  for (const name of new Set(used))
    expect(docs + foreign.join(), name).toContain(foreign.includes(name) ? name : `\`${name}\``);

  for (const secret of SECRETS) {
    expect(k8sText, "the command for the secret").toContain(`--from-literal=${secret}=`);
    expect(flyText, "the command for secrets").toContain(`${secret}=`);
    for (const [name, { environment }] of gateways)
      expect([name, secret in environment]).toEqual([name, true]);
    expect([podEnv.has(secret), secret in fly.env]).toEqual([false, false]);
  }
  expect(container.envFrom).toEqual([{ secretRef: { name: "trunkline" } }]);
  expect(k8sText).toContain("create secret generic trunkline ");
  for (const [, { environment }] of gateways) {
    for (const [name, value] of Object.entries(environment))
      if (/SECRET|PASSWORD/.test(name)) expect([name, value.startsWith("${")]).toEqual([name, true]);
  }
});

test("every file names region and instance, or where it runs does; and none lets a client say where it comes from", () => {
  for (const [, { environment }] of gateways)
    expect(environment).toMatchObject({ REGION: expect.any(String), INSTANCE_ID: expect.any(String) });
  expect([...podEnv.keys()]).toEqual(expect.arrayContaining(["REGION", "INSTANCE_ID"]));
  // Of whom a header is believed stands beside it: any address could send one.
  expect([podEnv.get("TRUNKLINE_TRUSTED_PROXY"), podEnv.get("TRUNKLINE_PROXY_CIDRS")]).toEqual([
    "header",
    "10.0.0.0/8",
  ]);
  expect(fly.env.TRUNKLINE_TRUSTED_PROXY).toBe("fly");
});
