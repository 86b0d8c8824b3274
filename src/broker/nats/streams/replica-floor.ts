import type { Logger } from "../../../core/log.ts";
import { atLeast } from "../../../core/version.ts";
import { readGreeting } from "../link/greeting.ts";
import { type Link, withoutSecrets } from "../link/link.ts";
import { StartError } from "../link/start-error.ts";

/**
 * The first nats-server whose replicas were seen to keep what they acknowledged: of older ones, two of three replicas hold
 * other messages for good after a cut inside the cluster (measured on 2.9.10, 2.9.25, 2.10.29, 2.11.17, 2.12.12, 2.12.15).
 */
export const REPLICAS_SINCE = "2.10.29";

/** Time one server has to say its version, ms. */
const GREETING_TIMEOUT_MS = 1_500;

/** The servers of the cluster that an instance is connected to. */
export interface ClusterServers {
  /** Those that have said their version, by name. */
  readonly known: ReadonlyMap<string, string>;
  /** Addresses of those that have not. */
  readonly silent: readonly string[];
}

/**
 * Asks every server of the cluster which version it is: a stream may have its replicas on any of them.
 * @param configured addresses in the settings, beside those that the server tells
 */
export async function clusterServers(
  { nc }: Pick<Link, "nc">,
  configured: readonly string[],
): Promise<ClusterServers> {
  const { server_name: own = "", version = "0", connect_urls: told = [] } = nc.info ?? {};
  const known = new Map([[own, version]]);
  const silent: string[] = [];
  // The only one that is configured is the one that we are connected to.
  const addresses = new Set([...told, ...(configured.length > 1 ? configured.map(addressOf) : [])]);
  await Promise.all(
    [...addresses].map(async (address) => {
      const greeting = await readGreeting(address, GREETING_TIMEOUT_MS);
      if (greeting) known.set(greeting.name, greeting.version);
      else silent.push(address);
    }),
  );
  return { known, silent };
}

function addressOf(server: string): string {
  const { hostname, port } = new URL(withoutSecrets(server).replace(/^([a-z]+:\/\/)?/, "nats://"));
  return `${hostname}:${port || 4222}`;
}

/** Versions that can lose a stream's data at a server that was away while the stream was made sure of. */
const LOSES_STREAMS = /^2\.(12\.14|14\.4)($|-)/;

/** What is known against a version of nats-server in a cluster; undefined when nothing is. */
export function clusterFault({
  nc,
}: Pick<Link, "nc">): { readonly what: string; readonly cause: string; readonly fix: string } | undefined {
  const { version = "0", cluster } = nc.info ?? {};
  if (cluster === undefined || !LOSES_STREAMS.test(version)) return undefined;
  return {
    what: `${version} can lose a stream in a cluster`,
    cause: "a server that was away may drop its data of the stream when it comes back (nats-server#8449)",
    fix: "nats-server 2.12.15, 2.14.5 or later: https://github.com/nats-io/nats-server/releases",
  };
}

/** Servers whose replicas cannot be relied on, as `n1 2.9.10`. */
function belowFloor({ known }: ClusterServers): string[] {
  return [...known]
    .filter(([, version]) => !atLeast(version, REPLICAS_SINCE))
    .map(([name, version]) => `${name} ${version}`)
    .sort();
}

/** Why streams with replicas are not made on these servers, or undefined when nothing is against it. */
export function replicaFloor(servers: ClusterServers): StartError | undefined {
  const old = belowFloor(servers);
  if (old.length === 0) return undefined;
  return new StartError(
    "replicas",
    `history.replicas is above 1, and these servers can lose and swap acknowledged messages when their cluster is cut: ${old.join(", ")}`,
    `Upgrade them to nats-server ${REPLICAS_SINCE} or newer, set history.replicas to 1, or accept it: nats.allowOldReplicas`,
  );
}

export interface ReplicaCheck {
  readonly link: Pick<Link, "nc">;
  /** Addresses in the settings. */
  readonly servers: readonly string[];
  /** Replicas of the safest stream. */
  readonly replicas: number;
  /** Servers that are too old are accepted. */
  readonly allowOldReplicas?: boolean;
  readonly log: Logger;
}

/**
 * Whether replicas are worth what the settings say. Resolves with what is less than that.
 * @throws StartError when a server of the cluster is too old for them, unless that is accepted
 */
export async function checkReplicas(check: ReplicaCheck): Promise<string[]> {
  const { link, servers: configured, log, replicas, allowOldReplicas } = check;
  const fault = clusterFault(link);
  if (fault) log.warn(fault.what, { cause: fault.cause, remedy: fault.fix });
  if (replicas === 1) return [];
  const servers = await clusterServers(link, configured);
  if (servers.silent.length > 0) {
    const hint = "they may be too old for history.replicas above 1";
    log.warn("NATS servers do not report their version", { servers: servers.silent, hint });
  }
  const refusal = replicaFloor(servers);
  if (!refusal) return [];
  if (!allowOldReplicas) throw refusal;
  log.error(refusal.problem, { remedy: `upgrade them to nats-server ${REPLICAS_SINCE} or newer` });
  return [`replicas on ${belowFloor(servers).join(", ")}`];
}
