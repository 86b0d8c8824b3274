import { readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { eachServer, type Link, type NatsAddress, openLink } from "../../broker/nats/link/link.ts";
import { StartError } from "../../broker/nats/link/start-error.ts";
import type { Config } from "../../config.ts";
import { createLogger } from "../../core/log.ts";
import { Stats } from "../../core/stats.ts";
import { type Subjects, subjects as subjectsOf } from "../../core/subject.ts";
import { headers } from "../../nats/client.ts";
import { natsAddress } from "../drivers.ts";
import { passwordVariable } from "../nats/account.ts";
import { DEFAULT_CONSUMERS, mayDo, type Role, rolesOf } from "../nats/roles.ts";
import type { Finding } from "./report.ts";

const CONNECT_TIMEOUT_MS = 2_000;

/** Something a login may do, or may not. Trying it changes nothing. */
interface Probe {
  readonly operation: "publish" | "subscribe";
  readonly subject: string;
}

/** Body of every probe: as a control signal it is about nobody, as a request to JetStream it is malformed. */
const BODY = '{"user":""}';

/** A channel, a kind and a method that nobody has. */
const NOBODY = "%doctor";

/**
 * Checks each role of a system whose login is at hand: it may do what it must, and nothing else that is tried.
 * @param folder holds `<role>.creds`; true: passwords are in the environment, as `deploy/nats` has them
 */
export async function checkRoles(config: Config, folder: string | true): Promise<Finding[]> {
  const subjects = subjectsOf(config.nats.root);
  const [address] = eachServer(natsAddress(config));
  if (!address) return [{ check: "nats roles", verdict: "warning", what: "no NATS is configured" }];
  const roles = rolesOf(subjects, DEFAULT_CONSUMERS);
  const logins = await Promise.all(roles.map((role) => loginOf(role, folder)));
  const found = roles.flatMap((role, index) => (logins[index] ? [{ role, login: logins[index] }] : []));
  if (found.length === 0) {
    const names = roles.map(({ name }) => (folder === true ? passwordVariable(name) : `${name}.creds`));
    return [
      {
        ...{ check: "nats roles", verdict: "warning", what: "no role was tried" },
        cause: `none of these is there: ${names.join(", ")}`,
      },
    ];
  }
  const { servers, tls } = address;
  return await Promise.all(
    found.map(({ role, login }) =>
      checkRole(role, probesOf(subjects, roles), {
        ...{ servers, inbox: role.inbox },
        ...(tls && { tls }),
        ...login,
      }),
    ),
  );
}

/** Whether an instance's own login has the rights it needs. */
export async function checkRights(config: Config, address: NatsAddress): Promise<Finding> {
  const subjects = subjectsOf(config.nats.root);
  const roles = rolesOf(subjects);
  const gateway = roles[0]!;
  const own = [
    ...gateway.subscribe.filter((subject) => !subject.startsWith(gateway.inbox)),
    `${address.inbox ?? "_INBOX"}.>`,
  ];
  const probes = [
    ...probesOf(subjects, roles).filter(
      ({ operation, subject }) =>
        operation === "publish" && !subject.includes("inbox.") && mayDo(gateway, "publish", subject),
    ),
    ...own.map((subject): Probe => ({ operation: "subscribe", subject: concrete(subject) })),
    { operation: "publish" as const, subject: `${address.inbox ?? "_INBOX"}.${NOBODY}` },
  ];
  const check = "nats rights";
  const refused = await tryOut(address, probes);
  if (refused.length === 0) return { check, verdict: "ok", what: "an instance may do what it must" };
  return {
    ...{ check, verdict: "failed", what: "an instance may not do what it must" },
    cause: `refused: ${refused.map(written).join(", ")}`,
    fix: "trunkline config --nats   prints the rights of each role for nats-server's configuration",
  };
}

async function loginOf({ name }: Role, folder: string | true): Promise<Partial<NatsAddress> | undefined> {
  if (folder === true) {
    const password = process.env[passwordVariable(name)];
    return password ? { user: name, password } : undefined;
  }
  const credentials = await readFile(join(folder, `${name}.creds`), "utf8").catch(() => undefined);
  return credentials === undefined ? undefined : { credentials: () => credentials };
}

async function checkRole(role: Role, probes: readonly Probe[], address: NatsAddress): Promise<Finding> {
  const check = `nats role ${role.name}`;
  const fix = "trunkline config --nats   prints the rights of each role for nats-server's configuration";
  try {
    const refused = new Set((await tryOut(address, probes)).map(written));
    const wrong = probes.filter(
      (probe) => mayDo(role, probe.operation, probe.subject) === refused.has(written(probe)),
    );
    if (wrong.length === 0) {
      const what = `${role.purpose}: may do what it must, and none of ${refused.size} other things`;
      return { check, verdict: "ok", what };
    }
    const texts = wrong.map((probe) => `may ${refused.has(written(probe)) ? "not " : ""}${written(probe)}`);
    return {
      check,
      verdict: "failed",
      what: "its rights are not as they must be",
      cause: texts.join("\n"),
      fix,
    };
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return { check, verdict: "failed", what: "it cannot log in", cause: error.problem, fix: error.remedy };
  }
}

/** Does what is to be tried. @returns what the server refused @throws StartError */
async function tryOut(address: NatsAddress, probes: readonly Probe[]): Promise<Probe[]> {
  const refused: Probe[] = [];
  const log = createLogger("warn", ({ operation, subject }) => {
    if (typeof subject !== "string") return;
    refused.push({ operation: operation === "publish" ? "publish" : "subscribe", subject });
  });
  const link = await openLink({
    ...address,
    ...{ name: "trunkline doctor", pingIntervalMs: 5_000, connectTimeoutMs: CONNECT_TIMEOUT_MS },
    ...{ log, stats: new Stats() },
  });
  try {
    for (const probe of probes) carryOut(link, probe);
    // The server answers in order: whatever it refuses comes before this is answered.
    await link.nc.flush();
    await link.nc.flush();
    return refused;
  } finally {
    await link.close();
  }
}

function carryOut({ nc }: Link, { operation, subject }: Probe): void {
  if (operation === "subscribe") {
    nc.subscribe(subject, { callback: () => {} });
    return;
  }
  const out = headers();
  // No stream has this name: none stores it.
  out.set("Nats-Expected-Stream", "TRUNKLINE_DOCTOR");
  nc.publish(subject, BODY, { headers: out });
}

/** Everything that some role may do and another may not. */
function probesOf(subjects: Subjects, roles: readonly Role[]): Probe[] {
  const { root } = subjects;
  const events = subjects.eventStream();
  const inboxes = [...roles.map(({ inbox }) => `${inbox}.${NOBODY}`), `_INBOX.${NOBODY}`];
  const kinds = ["", "l", "evt", "hook", "rpc", "auth", "ent", "entl"].map(
    (kind) => `${root}${kind}.${NOBODY}`,
  );
  const consumers = DEFAULT_CONSUMERS.flatMap((name) => [
    `$JS.API.CONSUMER.INFO.${events}.${name}`,
    `$JS.API.CONSUMER.MSG.NEXT.${events}.${name}`,
  ]);
  const publishes = [
    ...[...kinds, ...inboxes, `${root}.${NOBODY}.%.x`, `${root}.%.${NOBODY}.4.0.%.x`],
    ...["disconnect", "emulate", "clear", "info"].map((kind) => subjects.control(kind)),
    `${root}ctl.inst.${NOBODY}.disconnect`,
    ...["INFO", "STREAM.NAMES", `STREAM.INFO.${events}`].map((what) => `$JS.API.${what}`),
    ...["CREATE", "UPDATE", "DELETE", "PURGE", "MSG.GET", "INFO"].map(
      (what) => `$JS.API.STREAM.${what}.TRUNKLINE_DOCTOR`,
    ),
    "$JS.API.DIRECT.GET.TRUNKLINE_DOCTOR",
    ...["CREATE", "DURABLE.CREATE", "DELETE", "INFO", "MSG.NEXT"].map(
      (what) => `$JS.API.CONSUMER.${what}.${events}.TRUNKLINE_DOCTOR`,
    ),
    ...[...consumers, `$JS.ACK.${events}.TRUNKLINE_DOCTOR.1.1.1.1.0`, `$SRV.PING.${NOBODY}`],
  ];
  const subscribes = [
    ...[...kinds, ...inboxes, `${root}ctl.${NOBODY}`, `${root}ctl.inst.${NOBODY}.x`, `$SRV.PING.${NOBODY}`],
    ...["$JS.EVENT.ADVISORY.STREAM.CREATED.TRUNKLINE_DOCTOR", `$JS.API.CONSUMER.INFO.${events}.x`],
    ...[">", "_INBOX.>", `${root}inbox.>`, `${root}.>`, `${root}auth.>`],
  ];
  return [
    ...publishes.map((subject): Probe => ({ operation: "publish", subject })),
    ...subscribes.map((subject): Probe => ({ operation: "subscribe", subject })),
  ];
}

/** One subject that a pattern covers. */
function concrete(pattern: string): string {
  return pattern.replaceAll("*", "TRUNKLINE_DOCTOR").replace(/>$/, NOBODY);
}

function written({ operation, subject }: Probe): string {
  return `${operation} ${operation === "publish" ? "on" : "to"} ${subject}`;
}
