import { presenceKeys } from "../../presence/redis/keys.ts";
import { LinkError, type Reply } from "../../presence/redis/link.ts";
import type { ClusterLink, Master } from "../../presence/redis/link-cluster.ts";
import { PART_TAGS, PARTS, partPrefix, slotOf } from "../../presence/redis/parts.ts";
import {
  checkCommands,
  checkEviction,
  checkLatency,
  factsOf,
  PROBE,
  REDIS_TIMEOUT_MS,
  versionOf,
} from "./redis-facts.ts";
import type { Finding } from "./report.ts";

const SLOTS = 16_384;

/** Checks a Redis Cluster: all slots have a master, which is there, able, and has a replica. @throws LinkError */
export async function checkCluster(cluster: ClusterLink, where: string, prefix: string): Promise<Finding[]> {
  const ranges = await cluster.masters(REDIS_TIMEOUT_MS);
  const masters = [...new Set(ranges.map(({ address }) => address))];
  const nodes = await Promise.all(masters.map((address) => checkNode(cluster, address, ranges, prefix)));
  const version = nodes.find((node) => node.version !== undefined)?.version ?? "version not told";
  const spread = nodes.map(({ parts }) => parts).join(", ");
  return [
    {
      check: "redis",
      verdict: "ok",
      what: `a cluster of ${masters.length} masters, found ${where}, ${version}`,
    },
    checkSlots(ranges),
    checkReplicas(ranges),
    { check: "redis parts", verdict: "ok", what: `${PARTS} parts of presence, on the masters: ${spread}` },
    ...nodes.flatMap(({ findings }) => findings),
  ];
}

interface Node {
  readonly findings: readonly Finding[];
  readonly parts: number;
  readonly version?: string;
}

async function checkNode(
  cluster: ClusterLink,
  address: string,
  ranges: readonly Master[],
  prefix: string,
): Promise<Node> {
  const own = ranges.filter((range) => range.address === address);
  const parts = PART_TAGS.flatMap((tag, part) => {
    const slot = slotOf(tag);
    return own.some(({ first, last }) => first <= slot && slot <= last) ? [part] : [];
  });
  const link = cluster.node(address);
  try {
    const [info] = await link.send([["INFO"]], REDIS_TIMEOUT_MS);
    const facts = typeof info === "string" ? factsOf(info) : undefined;
    const findings = [await checkLatency(link)];
    const [part] = parts;
    if (part !== undefined) {
      const { probe } = presenceKeys(partPrefix(prefix, part));
      const [script, members] = (await link.send(
        [
          ["EVAL", PROBE, 1, probe],
          ["HRANDFIELD", probe, 1, "WITHVALUES"],
        ],
        REDIS_TIMEOUT_MS,
      )) as [Reply, Reply];
      findings.push(checkCommands(script, members, prefix));
    }
    findings.push(checkEviction(facts?.get("maxmemory_policy")));
    const named = findings.map((finding) => ({ ...finding, check: `${finding.check} ${address}` }));
    return { parts: parts.length, findings: named, ...(facts && { version: versionOf(facts) }) };
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    return { parts: parts.length, findings: [unreachable(address, error)] };
  }
}

function unreachable(address: string, { message }: LinkError): Finding {
  return {
    check: `redis node ${address}`,
    verdict: "failed",
    what: "the cluster names it, and it does not answer from here",
    cause: `${message}; of what lies there each instance knows its own part only (\`partial\`)`,
    fix:
      "it must be reachable at the address it announces (cluster-announce-ip, cluster-announce-hostname)\n" +
      "with TLS the cluster must announce its TLS ports: tls-cluster yes",
  };
}

function checkSlots(ranges: readonly Master[]): Finding {
  const check = "redis slots";
  const covered = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  if (covered >= SLOTS) return { check, verdict: "ok", what: `all ${SLOTS} have a master` };
  return {
    ...{ check, verdict: "failed", what: `${SLOTS - covered} of ${SLOTS} have no master` },
    cause: "presence of what lies there cannot be kept",
    fix: "redis-cli --cluster check host:port   then   redis-cli --cluster fix host:port",
  };
}

function checkReplicas(ranges: readonly Master[]): Finding {
  const check = "redis replicas";
  const alone = [...new Set(ranges.filter(({ replicas }) => replicas === 0).map(({ address }) => address))];
  if (alone.length === 0) return { check, verdict: "ok", what: "every master has one" };
  return {
    ...{ check, verdict: "warning", what: `${alone.join(", ")}: without one` },
    cause: "when such a master is lost, presence of what lies there is partial until it is back",
    fix: "redis-cli --cluster add-node new:port host:port --cluster-slave",
  };
}
