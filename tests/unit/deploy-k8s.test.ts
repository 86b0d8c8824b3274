import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import Ajv from "ajv/dist/2019";
import { Deployment } from "kubernetes-models/apps/v1";
import { HorizontalPodAutoscaler } from "kubernetes-models/autoscaling/v2";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1";
import { Service } from "kubernetes-models/v1";
import { parse, parseAllDocuments } from "yaml";
import { isPromQl } from "../helpers/promtool.ts";

/** The overlays in `deploy/k8s`: what kustomize makes of them, by it where it is, and by a few lines of ours anywhere. */

const ROOT = join(import.meta.dir, "../../deploy/k8s");
const OVERLAYS = [...new Bun.Glob("overlays/**/kustomization.yaml").scanSync(ROOT)].map(dirname).sort();

interface Kustomization {
  readonly kind: string;
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
  readonly patches?: readonly { readonly patch: string }[];
}

interface Resource extends Record<string, unknown> {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

/** What our files use of kustomize: other folders, files, and patches that are merged by name or delete. */
function build(folder: string, given: readonly Resource[] = []): Resource[] {
  const file = parse(readFileSync(join(folder, "kustomization.yaml"), "utf8")) as Kustomization;
  expect(Object.keys(file).filter((name) => !KNOWN.includes(name))).toEqual([]);
  const own = (file.resources ?? []).flatMap((name) => {
    const path = join(folder, name);
    if (!name.endsWith(".yaml")) return build(path);
    return parseAllDocuments(readFileSync(path, "utf8")).map((one) => one.toJS() as Resource);
  });
  let all = [...given, ...own];
  for (const name of file.components ?? []) all = build(join(folder, name), all);
  for (const { patch } of file.patches ?? []) {
    const change = parse(patch) as Resource & { $patch?: string };
    const at = all.findIndex(
      ({ kind, metadata }) => kind === change.kind && metadata.name === change.metadata.name,
    );
    expect(at, `${relative(ROOT, folder)} patches something that is there`).toBeGreaterThanOrEqual(0);
    if (change.$patch === "delete") all.splice(at, 1);
    else all[at] = merged(all[at], change) as Resource;
  }
  return all;
}

const KNOWN = ["apiVersion", "kind", "resources", "components", "patches"];

function merged(old: unknown, change: unknown): unknown {
  if (Array.isArray(old) && Array.isArray(change)) {
    const named = new Map((old as { name: string }[]).map((one) => [one.name, one as unknown]));
    for (const one of change as { name: string }[]) {
      expect([...named.keys()], "a patch changes what is there").toContain(one.name);
      named.set(one.name, merged(named.get(one.name), one));
    }
    return [...named.values()];
  }
  if (typeof old !== "object" || typeof change !== "object" || old === null || change === null) return change;
  const result: Record<string, unknown> = { ...old };
  for (const [key, value] of Object.entries(change)) result[key] = merged(result[key], value);
  return result;
}

const kinds = { Deployment, HorizontalPodAutoscaler, PodDisruptionBudget, Service } as const;

/** What KEDA's own definition (keda.sh/v1alpha1, ScaledObject) requires of the parts that are used here. */
const SCALED_OBJECT = {
  type: "object",
  required: ["apiVersion", "kind", "metadata", "spec"],
  properties: {
    apiVersion: { const: "keda.sh/v1alpha1" },
    kind: { const: "ScaledObject" },
    spec: {
      type: "object",
      required: ["scaleTargetRef", "triggers"],
      additionalProperties: false,
      properties: {
        scaleTargetRef: { type: "object", required: ["name"] },
        pollingInterval: { type: "integer" },
        minReplicaCount: { type: "integer" },
        maxReplicaCount: { type: "integer" },
        fallback: {
          required: ["failureThreshold", "replicas"],
          properties: {
            behavior: {
              enum: ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"],
            },
          },
        },
        advanced: { type: "object" },
        triggers: {
          type: "array",
          items: {
            required: ["type", "metadata"],
            properties: {
              metricType: { enum: ["AverageValue", "Value", "Utilization"] },
              metadata: { type: "object", additionalProperties: { type: "string" } },
            },
          },
        },
      },
    },
  },
};

const takesScaledObject = new Ajv({ strict: false, allErrors: true }).compile(SCALED_OBJECT);

/** Holds resources to the schemas of those who read them. */
function expectTaken(resources: readonly Resource[]): void {
  for (const resource of resources) {
    if (resource.kind === "ScaledObject") {
      takesScaledObject(resource);
      expect(takesScaledObject.errors ?? []).toEqual([]);
    } else new kinds[resource.kind as keyof typeof kinds](resource as never).validate();
  }
}

const byName = (one: Resource, other: Resource) => one.kind.localeCompare(other.kind);

test("each overlay is what Kubernetes takes, has one autoscaler, and names its own region", () => {
  expect(OVERLAYS.length).toBe(5);
  for (const overlay of OVERLAYS) {
    const resources = build(join(ROOT, overlay));
    expectTaken(resources);
    const scaler = overlay.includes("keda") ? "ScaledObject" : "HorizontalPodAutoscaler";
    expect([overlay, ...resources.map(({ kind }) => kind).sort()]).toEqual([
      ...[overlay, ...["Deployment", scaler, "PodDisruptionBudget", "Service"].sort()],
    ]);
    const deployment = resources.find(({ kind }) => kind === "Deployment") as unknown as Deployment;
    const env = deployment.spec!.template.spec!.containers[0]!.env!;
    const [, , region = "fra"] = overlay.split("/");
    expect(env.find(({ name }) => name === "REGION")?.value).toBe(region);
    expect(env.map(({ name }) => name)).toContain("INSTANCE_ID");
  }
  expect(() => new Deployment({ spec: { replicas: "two" } } as never).validate()).toThrow();
});

test("what is in a region's overlay differs from the base in the region alone; every folder is used", () => {
  const base = JSON.stringify(build(join(ROOT, "base")));
  for (const overlay of OVERLAYS.filter((name) => name.includes("regions/"))) {
    const region = overlay.split("/")[2]!;
    const own = JSON.stringify(build(join(ROOT, overlay)));
    expect(own).toBe(base.replace('"REGION","value":"fra"', `"REGION","value":"${region}"`));
  }
  const regions = [...new Bun.Glob("overlays/regions/*/kustomization.yaml").scanSync(ROOT)].map(
    (path) => path.split("/")[2],
  );
  const compose = readFileSync(join(ROOT, "../compose.yaml"), "utf8");
  for (const region of regions) expect(compose).toContain(`gateway-${region}:`);
  expect(existsSync(join(ROOT, "components/keda/kustomization.yaml"))).toBe(true);
});

const kustomize = Bun.which("kustomize");
test.skipIf(!kustomize)(`kustomize makes the same${kustomize ? "" : " (skipped: no kustomize here)"}`, () => {
  for (const overlay of OVERLAYS) {
    const { stdout, stderr, exitCode } = Bun.spawnSync([kustomize!, "build", join(ROOT, overlay)]);
    expect([overlay, exitCode, stderr.toString()]).toEqual([overlay, 0, ""]);
    const theirs = parseAllDocuments(stdout.toString()).map((one) => one.toJS() as Resource);
    expectTaken(theirs);
    expect(theirs.sort(byName)).toEqual(build(join(ROOT, overlay)).sort(byName));
  }
});

test("KEDA scales as the autoscaler of the base does", async () => {
  const scaled = parse(readFileSync(join(ROOT, "components/keda/keda.yaml"), "utf8")) as {
    spec: {
      minReplicaCount: number;
      maxReplicaCount: number;
      advanced: { horizontalPodAutoscalerConfig: { behavior: object } };
      triggers: readonly { type: string; metadata: Readonly<Record<string, string>> }[];
    };
  };
  const documents = parseAllDocuments(readFileSync(join(ROOT, "base/trunkline.yaml"), "utf8")).map((one) =>
    one.toJS(),
  );
  const { spec } = documents.find(({ kind }) => kind === "HorizontalPodAutoscaler") as {
    spec: { minReplicas: number; maxReplicas: number; behavior: object; metrics: readonly Pods[] };
  };
  const { minReplicaCount, maxReplicaCount, advanced, triggers } = scaled.spec;
  expect([minReplicaCount, maxReplicaCount]).toEqual([spec.minReplicas, spec.maxReplicas]);
  expect(advanced.horizontalPodAutoscalerConfig.behavior).toEqual(spec.behavior);
  const [byConnections] = triggers;
  expect(byConnections!.metadata.threshold).toBe(spec.metrics[0]!.pods!.target.averageValue);
  expect(await isPromQl(byConnections!.metadata.query!)).toBe(true);
});

interface Pods {
  readonly pods?: { readonly target: { readonly averageValue: string } };
}
