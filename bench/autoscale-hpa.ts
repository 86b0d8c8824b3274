/**
 * What the HorizontalPodAutoscaler of Kubernetes does with one metric of pods, as its controller computes it
 * (pkg/controller/podautoscaler: replica_calculator.go, horizontal.go).
 */

interface ScalingRules {
  readonly stabilizationWindowSeconds: number;
  readonly policies: readonly {
    readonly type: string;
    readonly value: number;
    readonly periodSeconds: number;
  }[];
}

export interface HpaSpec {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  /** Average of the metric over all pods that is wanted. */
  readonly target: number;
  readonly scaleUp: ScalingRules;
  readonly scaleDown: ScalingRules;
}

interface Event {
  readonly at: number;
  /** Replicas added; negative: removed. */
  readonly change: number;
}

/** The controller's own default (`--horizontal-pod-autoscaler-tolerance`). */
const TOLERANCE = 0.1;

/**
 * Replicas by the metric alone.
 * @param metrics of all pods that are not being deleted; `undefined` of one that has none yet
 */
export function replicasByMetric(
  metrics: readonly (number | undefined)[],
  current: number,
  target: number,
): number {
  const known = metrics.filter((value) => value !== undefined);
  if (known.length === 0) return current;
  const ratio = usageRatio(known, target);
  const missing = metrics.length - known.length;
  if (missing === 0) return within(ratio) ? current : Math.ceil(ratio * known.length);
  // Of those without a metric: as if at the target when others do little, as if idle when they do much.
  const assumed = [...known, ...Array.from({ length: missing }, () => (ratio < 1 ? target : 0))];
  const again = usageRatio(assumed, target);
  if (within(again) || ratio < 1 !== again < 1) return current;
  const replicas = Math.ceil(again * assumed.length);
  return again < 1 === replicas < current ? replicas : current;
}

function usageRatio(values: readonly number[], target: number): number {
  return Math.floor(values.reduce((sum, value) => sum + value, 0) / values.length) / target;
}

function within(ratio: number): boolean {
  return Math.abs(1 - ratio) <= TOLERANCE;
}

/** One autoscaler: remembers what it recommended and did. Times in seconds, of the clock the caller keeps. */
export class Hpa {
  readonly #spec: HpaSpec;
  #recommended: { readonly at: number; readonly replicas: number }[] = [];
  #events: Event[] = [];

  constructor(spec: HpaSpec) {
    this.#spec = spec;
  }

  /** Replicas from now on, given how many there are, and the metric of each. */
  decide(now: number, current: number, metrics: readonly (number | undefined)[]): number {
    const wanted = replicasByMetric(metrics, current, this.#spec.target);
    const stable = this.#stabilized(now, current, wanted);
    const decided = this.#limited(now, current, stable);
    if (decided !== current) this.#events.push({ at: now, change: decided - current });
    return decided;
  }

  /** Neither higher than all recommendations of the window for going up, nor lower than all of the one for going down. */
  #stabilized(now: number, current: number, wanted: number): number {
    const { scaleUp, scaleDown } = this.#spec;
    this.#recommended.push({ at: now, replicas: wanted });
    const since = (rules: ScalingRules) =>
      this.#recommended
        .filter(({ at }) => at >= now - rules.stabilizationWindowSeconds)
        .map(({ replicas }) => replicas);
    const least = Math.min(wanted, ...since(scaleUp));
    const most = Math.max(wanted, ...since(scaleDown));
    const longest = Math.max(scaleUp.stabilizationWindowSeconds, scaleDown.stabilizationWindowSeconds);
    this.#recommended = this.#recommended.filter(({ at }) => at >= now - longest);
    return Math.min(Math.max(current, least), most);
  }

  /** No further than the policy that allows most. */
  #limited(now: number, current: number, wanted: number): number {
    const { minReplicas, maxReplicas, scaleUp, scaleDown } = this.#spec;
    if (wanted > current) {
      const limits = scaleUp.policies.map(({ type, value, periodSeconds }) => {
        const start = this.#replicasBefore(now - periodSeconds, current);
        return type === "Pods" ? start + value : Math.ceil(start * (1 + value / 100));
      });
      return Math.min(wanted, maxReplicas, Math.max(current, ...limits));
    }
    const limits = scaleDown.policies.map(({ type, value, periodSeconds }) => {
      const start = this.#replicasBefore(now - periodSeconds, current);
      return type === "Pods" ? start - value : Math.floor(start * (1 - value / 100));
    });
    return Math.max(wanted, minReplicas, Math.min(current, ...limits));
  }

  #replicasBefore(at: number, current: number): number {
    return this.#events
      .filter((event) => event.at > at)
      .reduce((replicas, { change }) => replicas - change, current);
  }
}

/** The parts of an HPA as YAML has it, with one metric of pods. @throws Error when it is another kind */
export function hpaOf(document: unknown): HpaSpec & { readonly metric: string } {
  const { kind, spec } = document as { kind: string; spec: HpaDocument };
  const pods = kind === "HorizontalPodAutoscaler" && spec.metrics.find(({ type }) => type === "Pods")?.pods;
  if (!pods) throw new Error("not a HorizontalPodAutoscaler with a metric of pods");
  const { scaleUp, scaleDown } = spec.behavior;
  return {
    ...{ minReplicas: spec.minReplicas, maxReplicas: spec.maxReplicas, scaleUp, scaleDown },
    metric: pods.metric.name,
    target: Number(pods.target.averageValue),
  };
}

interface HpaDocument {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly metrics: readonly {
    readonly type: string;
    readonly pods?: {
      readonly metric: { readonly name: string };
      readonly target: { readonly averageValue: string };
    };
  }[];
  readonly behavior: { readonly scaleUp: ScalingRules; readonly scaleDown: ScalingRules };
}
