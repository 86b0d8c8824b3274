import { expect, test } from "bun:test";
import { parseAllDocuments } from "yaml";
import { Hpa, type HpaSpec, hpaOf, replicasByMetric } from "../../bench/autoscale-hpa.ts";

/** The autoscaler of Kubernetes, as the bench has it. */

const none: HpaSpec["scaleUp"] = { stabilizationWindowSeconds: 0, policies: [] };

function hpa(changes: Partial<HpaSpec>): Hpa {
  const all = [{ type: "Percent", value: 100, periodSeconds: 15 }];
  const rules = { ...none, policies: all };
  return new Hpa({
    minReplicas: 2,
    maxReplicas: 50,
    target: 100,
    scaleUp: rules,
    scaleDown: rules,
    ...changes,
  });
}

test("replicas follow the average of the metric, but for a tenth", () => {
  expect(replicasByMetric([150, 150], 2, 100)).toBe(3);
  expect(replicasByMetric([109, 109], 2, 100)).toBe(2);
  expect(replicasByMetric([111, 111], 2, 100)).toBe(3);
  expect(replicasByMetric([50, 10, 0], 3, 100)).toBe(1);
});

test("a pod without a metric is idle where others do much, and at the target where they do little", () => {
  expect(replicasByMetric([300, undefined], 2, 100)).toBe(3);
  expect(replicasByMetric([150, undefined], 2, 100)).toBe(2);
  expect(replicasByMetric([10, 10, 10, undefined], 4, 100)).toBe(2);
  expect(replicasByMetric([undefined, undefined], 2, 100)).toBe(2);
});

test("it goes up no faster than its policies, and down after its window, one by one", () => {
  const scaleUp = { ...none, policies: [{ type: "Percent", value: 100, periodSeconds: 30 }] };
  const scaleDown = {
    stabilizationWindowSeconds: 600,
    policies: [{ type: "Pods", value: 1, periodSeconds: 300 }],
  };
  const one = hpa({ scaleUp, scaleDown });
  expect(one.decide(0, 2, [500, 500])).toBe(4);
  expect(one.decide(15, 4, [250, 250, 250, 250])).toBe(4);
  expect(one.decide(30, 4, [250, 250, 250, 250])).toBe(8);
  const idle = Array.from({ length: 8 }, () => 10);
  expect(one.decide(45, 8, idle)).toBe(8);
  expect(one.decide(630, 8, idle)).toBe(8);
  expect(one.decide(645, 8, idle)).toBe(7);
  expect(one.decide(660, 7, idle)).toBe(7);
  expect(one.decide(945, 7, idle)).toBe(6);
});

test("it stays within its limits", () => {
  expect(hpa({ maxReplicas: 3 }).decide(0, 2, [900, 900])).toBe(3);
  expect(hpa({}).decide(0, 2, [0, 0])).toBe(2);
});

test("the shipped file is one that the bench can follow", async () => {
  const file = Bun.file(new URL("../../deploy/k8s/base/trunkline.yaml", import.meta.url));
  const documents = parseAllDocuments(await file.text()).map((one) => one.toJS() as { kind: string });
  const spec = hpaOf(documents.find(({ kind }) => kind === "HorizontalPodAutoscaler"));
  expect(spec).toMatchObject({ metric: "trunkline_connections", minReplicas: 2 });
  expect(spec.target).toBeGreaterThan(1_000);
  expect(() => hpaOf(documents[0])).toThrow("not a HorizontalPodAutoscaler");
});
