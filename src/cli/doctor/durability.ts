import type { Link } from "../../broker/nats/link/link.ts";
import { RequestError, type Requests } from "../../broker/nats/link/requests.ts";
import type { StreamAdmin } from "../../broker/nats/streams/admin.ts";
import { mostReplicas, wantedStreams } from "../../broker/nats/streams/config.ts";
import { lifeOf } from "../../broker/nats/streams/identity.ts";
import { DISAGREEMENT_REMEDY, disagreement } from "../../broker/nats/streams/replica-check.ts";
import {
  clusterFault,
  clusterServers,
  REPLICAS_SINCE,
  replicaFloor,
} from "../../broker/nats/streams/replica-floor.ts";
import { Store } from "../../broker/nats/streams/store.ts";
import type { Config } from "../../config.ts";
import { subjects } from "../../core/subject.ts";
import { MAX_SEQUENCE, NARROW_FROM } from "../../core/tag.ts";
import { atLeast } from "../../core/version.ts";
import type { Finding } from "./report.ts";

/** From this share of a stream's sequences on, it is said that they come to an end. */
const USED = 0.5;
/** Longest `sync_interval` that is no cause for a word, ms. */
const SYNC_MS = 10_000;
const NANOS_PER_MS = 1_000_000;
const MONITOR_TIMEOUT_MS = 2_000;

export interface DurabilityChecks {
  readonly link: Link;
  readonly requests: Requests;
  readonly streams: StreamAdmin;
  readonly config: Config;
  /** Address of the monitoring pages of a nats-server, `http://host:8222`. */
  readonly monitor: string | undefined;
}

/** Checks what an acknowledgement is worth: servers, replicas, syncing, and what the streams' lives tell. */
export async function checkDurability(checks: DurabilityChecks): Promise<Finding[]> {
  const [replicas, sync, lives] = await Promise.all([
    checkReplicas(checks),
    checkSync(checks),
    checkLives(checks),
  ]);
  return [...replicas, sync, ...lives];
}

async function checkReplicas({ link, config }: DurabilityChecks): Promise<Finding[]> {
  const { namespaces, nats } = config;
  const fault = clusterFault(link);
  const findings: Finding[] = fault ? [{ check: "nats cluster faults", verdict: "failed", ...fault }] : [];
  if (mostReplicas(namespaces) === 1) return findings;
  const check = "nats replicas";
  const servers = await clusterServers(link, nats.urls);
  const refused = replicaFloor(servers);
  if (refused) {
    const verdict = nats.allowOldReplicas ? "warning" : "failed";
    const what = `some servers are older than ${REPLICAS_SINCE}`;
    return [...findings, { check, verdict, what, cause: refused.problem, fix: refused.remedy }];
  }
  const what = [...servers.known].map(([name, version]) => `${name} ${version}`).join(", ");
  if (servers.silent.length === 0) return [...findings, { check, verdict: "ok", what }];
  const cause = `these servers do not say their version: ${servers.silent.join(", ")}`;
  return [...findings, { check, verdict: "warning", what, cause, fix: "nats server list   as admin" }];
}

/** How long a stored message may be in memory alone: only the monitoring pages tell. */
async function checkSync({ link, monitor }: DurabilityChecks): Promise<Finding> {
  const check = "nats sync_interval";
  const fix = 'jetstream { sync_interval: "1s" }   in nats-server\'s configuration';
  if (!atLeast(link.status.server?.version ?? "0", "2.10")) {
    const what = "2.9 has none: a power cut may take the last moments of every stream with one replica";
    return { check, verdict: "ok", what };
  }
  if (monitor === undefined) {
    const what = "only the server's monitoring page tells: --monitor http://<host>:8222; it should be 1s";
    return { check, verdict: "ok", what };
  }
  try {
    const response = await fetch(new URL("/varz", monitor), {
      signal: AbortSignal.timeout(MONITOR_TIMEOUT_MS),
    });
    const { jetstream } = (await response.json()) as {
      jetstream?: { config?: { sync_interval?: number; sync_always?: boolean } };
    };
    const { sync_interval: nanos = 0, sync_always: always } = jetstream?.config ?? {};
    if (always) return { check, verdict: "ok", what: "always: what is acknowledged survives a power cut" };
    const ms = nanos / NANOS_PER_MS;
    const what = `${ms / 1_000} s`;
    if (ms > 0 && ms <= SYNC_MS) return { check, verdict: "ok", what };
    const cause = "a power cut may take what was acknowledged within that time";
    return { check, verdict: "warning", what, cause, fix };
  } catch (error) {
    const cause = (error as Error).name;
    return { check, verdict: "warning", what: `${monitor}/varz does not answer`, cause, fix };
  }
}

/** What there is to say of the lives of channels' streams: nothing of those that are as they should be. */
async function checkLives({ link, requests, streams, config }: DurabilityChecks): Promise<Finding[]> {
  const wanted = wantedStreams(subjects(config.nats.root), config.namespaces, link.messageTtl);
  const followed = wanted.filter(({ republish }) => republish);
  const found = await Promise.all(
    followed.map(({ name }) => checkLife(name, { link, requests, streams }).catch(notAsked)),
  );
  return found.flat();
}

/** A stream that nobody answers for is told of by other checks. */
function notAsked(error: unknown): Finding[] {
  if (error instanceof RequestError) return [];
  throw error;
}

async function checkLife(
  name: string,
  { link, requests, streams }: Pick<DurabilityChecks, "link" | "requests" | "streams">,
): Promise<Finding[]> {
  const info = await streams.info(name);
  if (!info) return [];
  const life = lifeOf(info);
  const findings: Finding[] = [];
  const check = `life of ${name}`;
  if (life.lastSeq > MAX_SEQUENCE * USED) {
    const share = Math.round((life.lastSeq / MAX_SEQUENCE) * 100);
    findings.push({
      ...{ check, verdict: "warning", what: `${share} % of its sequences are used up` },
      cause: `positions end at sequence ${MAX_SEQUENCE}`,
      fix: `nats stream rm ${name}   in a quiet hour: it is made anew, and every client reloads once`,
    });
  } else if (life.lastSeq >= NARROW_FROM) {
    const what =
      "so many messages that tags of offsets are shorter: a lost past is taken for this one more often";
    findings.push({ check, verdict: "ok", what });
  }
  if (info.config.num_replicas === 1) return findings;
  const place = await disagreement(new Store(link, requests, name), life);
  if (!place)
    return [...findings, { check, verdict: "ok", what: "its replicas agree where they were asked" }];
  return [
    ...findings,
    {
      ...{ check, verdict: "failed", what: `its replicas disagree at sequence ${place.sequence}` },
      cause: "a server forgot what it had acknowledged, and others went on without it",
      fix: DISAGREEMENT_REMEDY,
    },
  ];
}
