import { eachServer, type Link, type NatsAddress, openLink } from "../../broker/nats/link/link.ts";
import { Requests } from "../../broker/nats/link/requests.ts";
import { StartError } from "../../broker/nats/link/start-error.ts";
import { StreamAdmin } from "../../broker/nats/streams/admin.ts";
import type { Config } from "../../config.ts";
import { createLogger } from "../../core/log.ts";
import { Stats } from "../../core/stats.ts";
import { atLeast } from "../../core/version.ts";
import { natsAddress } from "../drivers.ts";
import { UserError } from "../output.ts";
import { checkDurability } from "./durability.ts";
import { type Finding, median } from "./report.ts";
import { checkRights } from "./roles.ts";
import { checkStreams } from "./streams.ts";

const CONNECT_TIMEOUT_MS = 2_000;
const ROUNDS = 5;
/** Beyond it, the server stands in another region than the instance. */
const SLOW_MS = 25;
const INSTALL = "nats-server 2.12.12 or later: https://github.com/nats-io/nats-server/releases";

/**
 * Holes of nats-server that others can use, and the releases that mend them, one for each line of versions
 * (https://advisories.nats.io, up to those of 2026-06-29).
 */
const ADVISORIES = [
  {
    id: "CVE-2026-27889",
    hole: "whoever reaches a websocket listener can crash the server",
    mended: ["2.11.14", "2.12.5"],
  },
  {
    id: "CVE-2026-29785",
    hole: "whoever reaches a leafnode listener with compression can, too",
    mended: ["2.11.14", "2.12.5"],
  },
  {
    id: "NATS-2026-16",
    hole: "with no_auth_user, route and leafnode listeners let in whoever reaches them",
    mended: ["2.11.16", "2.12.7", "2.14.0"],
  },
  {
    id: "NATS-2026-18",
    hole: "where queues are denied by name, queue subscriptions get around denied subjects",
    mended: ["2.11.16", "2.12.7", "2.14.0"],
  },
] as const;

/**
 * Checks every NATS server of the settings, and what an instance would find on them. Nothing is changed there.
 * @param monitor address of a server's monitoring pages
 */
export async function checkNats(config: Config, monitor?: string): Promise<Finding[]> {
  if (config.nats.urls.length === 0) {
    return [
      { check: "nats", verdict: "ok", what: "none configured: messages and history stay in this instance" },
    ];
  }
  let servers: NatsAddress[];
  try {
    servers = eachServer(natsAddress(config));
  } catch (error) {
    if (error instanceof UserError) return [{ check: "nats", verdict: "failed", what: error.message }];
    throw error;
  }
  /** What servers reported beside their answers, such as a subject that is not allowed. */
  const reports: string[] = [];
  const attempts = await Promise.all(servers.map((server) => attempt(server, reports)));
  const links = attempts.flatMap(({ link }) => (link ? [link] : []));
  try {
    const reached = attempts.map((one) => checkServer(one, links.length > 0));
    const [link] = links;
    if (!link) return reached;
    const server = servers[attempts.findIndex((one) => one.link === link)]!;
    return [
      ...reached,
      await checkRights(config, server),
      ...(await checkLink(link, config, { reports, monitor })),
    ];
  } finally {
    await Promise.all(links.map((link) => link.close()));
  }
}

interface Attempt {
  readonly where: string;
  readonly link?: Link;
  readonly error?: StartError;
}

async function attempt(server: NatsAddress, reports: string[]): Promise<Attempt> {
  const where = server.servers.join();
  const log = createLogger("warn", ({ message, error, operation, subject }) => {
    reports.push([error ?? message, operation, subject].filter((part) => part !== undefined).join(" "));
  });
  try {
    const link = await openLink({
      ...server,
      ...{ name: "trunkline doctor", pingIntervalMs: 5_000, connectTimeoutMs: CONNECT_TIMEOUT_MS },
      ...{ log, stats: new Stats() },
    });
    return { where, link };
  } catch (error) {
    if (error instanceof StartError) return { where, error };
    throw error;
  }
}

/** @param others whether some server answers */
function checkServer({ where, link, error }: Attempt, others: boolean): Finding {
  const check = "nats";
  if (link) {
    const { server_name: name, cluster } = link.nc.info ?? {};
    return { check, verdict: "ok", what: `${where}: connected to ${name}${cluster ? ` of ${cluster}` : ""}` };
  }
  const { kind = "unreachable", problem: cause = "", remedy = "" } = error ?? {};
  const what = kind === "login" ? `${where} refuses the login` : `${where} does not answer`;
  const tries = kind === "login" ? "server check connection" : "rtt";
  const fix = `${remedy}\nnats --server ${where} ${tries}`;
  // An instance starts as long as one of them answers; a wrong login is wrong everywhere.
  return { check, verdict: others && kind !== "login" ? "warning" : "failed", what, cause, fix };
}

async function checkLink(
  link: Link,
  config: Config,
  { reports, monitor }: { readonly reports: readonly string[]; readonly monitor: string | undefined },
): Promise<Finding[]> {
  const requests = new Requests(link);
  try {
    const streams = new StreamAdmin(
      requests,
      createLogger("error", () => {}),
    );
    const [roundTrip, jetstream] = await Promise.all([
      checkRoundTrip(link),
      checkStreams({ streams, link, config, reports }),
    ]);
    // Of an account that may ask JetStream nothing, everything else is said already.
    const asked = jetstream.every(({ check, verdict }) => check !== "jetstream" || verdict === "ok");
    const durability = asked ? await checkDurability({ link, requests, streams, config, monitor }) : [];
    return [...checkVersion(link), roundTrip, checkPayload(link, config), ...jetstream, ...durability];
  } finally {
    requests.close();
  }
}

function* checkVersion(link: Link): Generator<Finding> {
  const { version, missing } = link.status.server ?? { version: "0", missing: [] };
  const check = "nats version";
  if (missing.length === 0) yield { check, verdict: "ok", what: version };
  else {
    const verdict = atLeast(version, "2.9") ? "warning" : "failed";
    yield { check, verdict, what: version, cause: `it lacks ${missing.join("; ")}`, fix: INSTALL };
  }
  const open = advisories(version);
  if (open.length === 0) return;
  yield {
    ...{ check: "nats advisories", verdict: "warning", what: `${version} has known holes` },
    cause: open.map(({ id, hole }) => `${id}: ${hole}`).join("\n"),
    fix: `${INSTALL}\nuntil then keep all listeners but this one from other networks`,
  };
}

/** What is known against a version of nats-server. */
export function advisories(version: string): readonly (typeof ADVISORIES)[number][] {
  const line = version.split(".", 2).join(".");
  return ADVISORIES.filter(({ mended }) => {
    const own = mended.find((release) => release.startsWith(`${line}.`)) ?? mended[mended.length - 1]!;
    return !atLeast(version, own);
  });
}

async function checkRoundTrip({ nc }: Link): Promise<Finding> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) times.push(await nc.rtt());
  const ms = median(times);
  return {
    check: "nats round trip",
    verdict: ms > SLOW_MS ? "warning" : "ok",
    what: `${ms.toFixed(1)} ms`,
    ...(ms > SLOW_MS && {
      cause: `over ${SLOW_MS} ms: every publish and every recovery waits that long`,
      fix: "name servers of this instance's own region in NATS_URL",
    }),
  };
}

function checkPayload(link: Link, { namespaces }: Config): Finding {
  const longest = [...namespaces.values()].reduce((a, b) => (b.maxMessageBytes > a.maxMessageBytes ? b : a));
  const check = "nats max_payload";
  const what = `${bytes(link.maxPayload)} with headers; longest message ${bytes(longest.maxMessageBytes)} (${longest.name})`;
  if (longest.maxMessageBytes <= link.ordinaryBody) return { check, verdict: "ok", what };
  const enough = 2 ** Math.ceil(Math.log2(longest.maxMessageBytes + link.maxPayload - link.ordinaryBody));
  return {
    ...{ check, verdict: "failed", what },
    cause: `messages over ${bytes(link.ordinaryBody)} would be refused`,
    fix: `max_payload: ${enough}   in nats-server's configuration, or a smaller namespaces.${longest.name}.maxMessage`,
  };
}

function bytes(count: number): string {
  return `${count.toLocaleString("en")} bytes`;
}
