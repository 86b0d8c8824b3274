import process from "node:process";
import { type Config, limitConflicts } from "../../config.ts";
import { UserError } from "../output.ts";
import { isBare, readSettings, SettingsError } from "../settings.ts";
import { checkAccess } from "./access.ts";
import { checkCallouts } from "./callouts.ts";
import { checkCertificate } from "./certificate.ts";
import { checkMachine, type Machine, thisMachine } from "./machine.ts";
import { checkNats } from "./nats.ts";
import { checkRedis } from "./redis.ts";
import { type Finding, overall, toJson, toText } from "./report.ts";
import { checkRoles } from "./roles.ts";
import { checkWebhooks } from "./webhooks.ts";

export interface DoctorOptions {
  readonly config?: string;
  readonly json?: boolean;
  /** Tries the roles of NATS: a folder of `.creds` files, or true for passwords in the environment. */
  readonly roles?: string | true;
  /** Address of the monitoring pages of a nats-server, `http://host:8222`. */
  readonly monitor?: string;
  /** The oldest Bun an instance runs on. */
  readonly bun: string;
}

/**
 * `trunkline doctor`: checks that this machine and these settings can run an instance, without starting one and
 * without changing anything. The exit code is 1 when something failed.
 */
export async function doctor(options: DoctorOptions): Promise<void> {
  const findings = await diagnose(options, thisMachine());
  const text = options.json ? JSON.stringify(toJson(findings), null, 2) : toText(findings, process.stdout);
  await new Promise((resolve) => process.stdout.write(`${text}\n`, resolve));
  // Not left to the event loop: connections to a server that hangs stay half closed for minutes.
  process.exit(overall(findings) === "failed" ? 1 : 0);
}

/** Everything that is found, in the same order each time. */
async function diagnose(options: DoctorOptions, machine: Machine): Promise<Finding[]> {
  const { config: file, bun, roles, monitor } = options;
  const { config, findings } = await checkSettings(file);
  if (!config) return [...findings, ...(await checkMachine(machine, { bun }))];
  const { host, port, limits } = config;
  const settings = { host, port, connections: limits.connections, bare: isBare(config) };
  const groups = await Promise.all([
    checkMachine(machine, { bun, settings }),
    checkNats(config, monitor),
    checkRedis(config),
    checkAccess(config),
    checkCallouts(config),
    checkCertificate(config, machine.now()),
    checkWebhooks(config),
    ...(roles === undefined ? [] : [checkRoles(config, roles)]),
  ]);
  return [...findings, ...groups.flat()];
}

async function checkSettings(file: string | undefined): Promise<{ config?: Config; findings: Finding[] }> {
  const check = "settings";
  try {
    const { config, effective, refusals } = await readSettings({ file });
    if (refusals.length > 0) return { config, findings: refusals.map(refused) };
    const set = effective.filter(({ source }) => source !== "default").length;
    const conflicts = [...limitConflicts(config)].map(
      (what): Finding => ({ check: "limits", verdict: "warning", what }),
    );
    return {
      config,
      findings: [
        { check, verdict: "ok", what: `no mistakes; ${set} set, the rest at their defaults` },
        ...conflicts,
      ],
    };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const problems = error instanceof SettingsError ? error.problems : [error.message];
    const rest = "NATS, Redis, tokens and the port were not checked: that needs settings without mistakes";
    return {
      findings: [
        ...problems.map(
          (what): Finding => ({ check, verdict: "failed", what, fix: "trunkline config --docs" }),
        ),
        { check, verdict: "warning", what: rest },
      ],
    };
  }
}

/** The first line of a refusal says what is wrong, the others what to set. */
function refused(refusal: string): Finding {
  const [what = "", ...fix] = refusal.split("\n").map((line) => line.trim());
  return { check: "settings", verdict: "failed", what, ...(fix.length > 0 && { fix: fix.join("\n") }) };
}
