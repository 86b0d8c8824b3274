import type { Link } from "../../broker/nats/link/link.ts";
import { RequestError } from "../../broker/nats/link/requests.ts";
import { StartError } from "../../broker/nats/link/start-error.ts";
import type { StreamAdmin, StreamPlan } from "../../broker/nats/streams/admin.ts";
import {
  mostReplicas,
  outboxStream,
  type WantedStream,
  wantedStreams,
} from "../../broker/nats/streams/config.ts";
import { misrouted } from "../../broker/nats/streams/mapping-check.ts";
import { foreignLayout } from "../../broker/nats/streams/partition-check.ts";
import type { Config } from "../../config.ts";
import type { NamespaceRules } from "../../core/namespace.ts";
import { type Subjects, subjects } from "../../core/subject.ts";
import { unreachable } from "../../core/unreachable.ts";
import type { JetStreamAccountStats } from "../../nats/client.ts";
import { outboxOptions } from "../outbox.ts";
import { checkRegions, homeText } from "./regions.ts";
import type { Finding } from "./report.ts";

/** From this share of its storage on, an account is warned about. */
const FULL = 0.8;

export interface StreamChecks {
  readonly streams: StreamAdmin;
  readonly link: Link;
  readonly config: Config;
  /** What the server has reported beside its answers. */
  readonly reports: readonly string[];
}

/** Checks JetStream, the account's limits, and what a start would do with each stream. */
export async function checkStreams({ streams, link, config, reports }: StreamChecks): Promise<Finding[]> {
  const names = subjects(config.nats.root);
  const outbox = outboxOptions(config);
  const replicas = mostReplicas(config.namespaces);
  const { home, eventStreamBytes: maxBytes } = config.nats;
  const wanted = [
    ...wantedStreams(names, config.namespaces, link.messageTtl, { home, maxBytes }),
    ...(outbox ? [outboxStream(names, { ...outbox, replicas, home, maxBytes })] : []),
  ];
  const server = {
    version: link.status.server?.version ?? "0",
    clustered: link.nc.info?.cluster !== undefined,
  };
  try {
    const account = await streams.checkServer();
    const plans = await Promise.all(wanted.map((one) => streams.plan(one, server)));
    const kept = [...config.namespaces.values()].filter(({ history }) => history !== null);
    const divisions = await Promise.all(kept.map((rules) => checkDivision({ streams, link }, names, rules)));
    const made = wanted.filter((_, index) => plans[index]?.action === "create");
    return [
      { check: "jetstream", verdict: "ok", what: `enabled; the account has ${account.streams} streams` },
      ...checkLimits(account, made),
      ...divisions.flat(),
      ...wanted.map((one, index) => checkStream(one, plans[index]!)),
      ...(await checkRegions({
        streams,
        names,
        wanted,
        region: config.region,
        cluster: link.nc.info?.cluster,
      })),
    ];
  } catch (error) {
    const check = "jetstream";
    if (error instanceof StartError) {
      return [{ check, verdict: "failed", what: error.problem, fix: error.remedy }];
    }
    if (!(error instanceof RequestError)) throw error;
    const cause =
      reports.at(-1) ?? "no answer: the account may not use $JS.API.>, or the cluster has no leader yet";
    const fix = `nats --server ${link.nc.getServer()} account info`;
    return [{ check, verdict: "failed", what: "it cannot be asked", cause, fix }];
  }
}

/** Whether a namespace can have its partitions, and services' publishes get there. Silent about those without any. */
async function checkDivision(
  { streams, link }: Pick<StreamChecks, "streams" | "link">,
  names: Subjects,
  rules: NamespaceRules,
): Promise<Finding[]> {
  const { name, partitions } = rules;
  const problem = (await foreignLayout(streams, names, rules)) ?? (await misrouted(link, names, rules));
  const check = `partitions of ${name}`;
  if (problem) {
    const what = problem.kind === "mapping" ? "the subject mapping is wrong" : "there are other ones";
    return [{ check, verdict: "failed", what, cause: problem.problem, fix: problem.remedy }];
  }
  if (partitions === 1) return [];
  return [{ check, verdict: "ok", what: `${partitions}; the subject mapping is there` }];
}

function checkStream(wanted: WantedStream, plan: StreamPlan): Finding {
  const { name } = wanted;
  const check = `stream ${name}`;
  switch (plan.action) {
    case "keep":
      return { check, verdict: "ok", what: `as it must be${homeText(wanted)}` };
    case "create":
      return { check, verdict: "ok", what: `is made by the first instance that starts${homeText(wanted)}` };
    case "update":
      return {
        ...{ check, verdict: "warning", what: "would be changed at the start" },
        cause: plan.changes.join("; "),
        fix: `nats stream info ${name}   and the namespace's history, if that is not wanted`,
      };
    case "refuse":
      return {
        ...{ check, verdict: "failed", what: "would stop the start" },
        ...{ cause: plan.error.problem, fix: plan.error.remedy },
      };
    default:
      return unreachable(plan);
  }
}

/** @param made streams that are yet to be made */
export function* checkLimits(
  account: JetStreamAccountStats,
  made: readonly WantedStream[],
): Generator<Finding> {
  const problems = made.length > 0 ? [...shortages(account, made)] : [];
  for (const { cause, fix } of problems) {
    yield { check: "jetstream limits", verdict: "failed", what: "they stop the start", cause, fix };
  }
  if (problems.length > 0) return;
  const { max_storage: most } = account.limits;
  if (most > 0 && account.storage > most * FULL) {
    const share = Math.round((account.storage / most) * 100);
    yield {
      ...{ check: "jetstream limits", verdict: "warning", what: `${share} % of the storage is used` },
      cause: "at the limit nothing is stored any more, and publishes fail",
      fix: "nats account info",
    };
  } else yield { check: "jetstream limits", verdict: "ok", what: "wide enough" };
}

/** Why the account cannot make these streams. Negative limits are none. */
function* shortages(
  account: JetStreamAccountStats & { readonly reserved_storage?: number },
  made: readonly WantedStream[],
): Generator<{ cause: string; fix: string }> {
  for (const [tier, streams] of byTier(account, made)) {
    const usage = tier === "" ? account : account.tiers?.[tier as "R1"];
    if (!usage) {
      yield {
        cause: `the account has nothing for streams of ${tier.slice(1)} replicas`,
        fix: "history.replicas, or the account's JetStream limits",
      };
      continue;
    }
    const { max_streams, max_storage, storage_max_stream_bytes } = usage.limits;
    if (max_streams >= 0 && usage.streams + streams.length > max_streams) {
      yield {
        cause: `it may have ${max_streams} streams, has ${usage.streams}, and needs ${streams.length} more`,
        fix: `jetstream { max_streams: ${usage.streams + streams.length} }   for the account, in nats-server's configuration`,
      };
    }
    // The others take what there is room for.
    const sized = streams.flatMap((stream) =>
      stream.max_bytes ? [{ ...stream, max_bytes: stream.max_bytes }] : [],
    );
    const asked = sized.reduce((sum, { max_bytes, num_replicas }) => sum + max_bytes * num_replicas, 0);
    const reserved = account.reserved_storage ?? 0;
    if (max_storage >= 0 && reserved + asked > max_storage) {
      yield {
        cause: `${mib(asked)} are to be reserved for ${sized.map(({ name }) => name).join(", ")}, of ${mib(max_storage)} with ${mib(reserved)} reserved`,
        fix: `jetstream { max_file: ${mib(reserved + asked)} }   for the account, in nats-server's configuration`,
      };
    }
    const large = sized.find(
      ({ max_bytes }) => storage_max_stream_bytes > 0 && max_bytes > storage_max_stream_bytes,
    );
    if (large) {
      yield {
        cause: `a stream may have ${mib(storage_max_stream_bytes)}, and ${large.name} needs ${mib(large.max_bytes)}`,
        fix: `jetstream { disk_max_stream_bytes: ${mib(large.max_bytes)} }   for the account, in nats-server's configuration`,
      };
    }
  }
}

/** An account has one set of limits, or one for each number of replicas (`R1`, `R3`). */
function byTier(
  { tiers }: JetStreamAccountStats,
  made: readonly WantedStream[],
): Iterable<[string, WantedStream[]]> {
  return Map.groupBy(made, ({ num_replicas }) => (tiers ? `R${num_replicas}` : ""));
}

/** As nats-server's configuration has it. */
function mib(count: number): string {
  return `${Math.ceil(count / 1024 ** 2)}MB`;
}
