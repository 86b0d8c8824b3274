import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FAULTS } from "./faults.ts";
import { Prometheus, type Target } from "./prometheus.ts";
import { rollingRestart } from "./rolling.ts";
import { hurriedRules } from "./rules.ts";
import { type Fault, start } from "./victim.ts";

/*
 * Makes faults for real and waits until Prometheus, with the shipped rules, says what they are. Their times are divided by
 * FACTOR: an alert of five minutes fires after so many seconds. Prints a table of alert, fault and time, as docs/alerts.md
 * has it. `npm run alerts -- TrunklineDown …` makes those alone.
 */

const FACTOR = 30;
/** How long a system is left alone before its fault, ms. */
const QUIET_MS = 5_000;
const PATIENCE_MS = 90_000;

const wanted = process.argv.slice(2);
const faults = FAULTS.filter(({ alert }) => wanted.length === 0 || wanted.includes(alert));
const dir = await mkdtemp(join(tmpdir(), "trunkline-alerts-"));
const targets = new Set<Target>();
let failed = 0;
console.log(`| alert | fault | fires after |\n| --- | --- | --- |`);
{
  const rules = await hurriedRules(dir, FACTOR);
  await using prometheus = await Prometheus.start({ targets: [], interval: "1s", rules });
  for (const fault of faults) await show(fault, prometheus);
}
if (wanted.length === 0 || wanted.includes("rolling")) {
  const fired = await rollingRestart(await hurriedRules(dir, 1));
  failed += fired.length;
  console.log(
    `\nrolling restart of three instances behind HAProxy, at the rules' own times: ${fired.join(", ") || "none fires"}`,
  );
}
await rm(dir, { recursive: true, force: true });
process.exitCode = failed === 0 ? 0 : 1;

async function show(fault: Fault, prometheus: Prometheus): Promise<void> {
  const said = await seen(fault, prometheus).catch((error: unknown) => String(error));
  if (typeof said === "string") failed++;
  console.log(
    `| ${fault.alert} | ${fault.what} | ${typeof said === "string" ? `NOT: ${said}` : `${said} s`} |`,
  );
}

/** Seconds until the alert fires, or why it did not. */
async function seen(fault: Fault, prometheus: Prometheus): Promise<number | string> {
  const victim = await start(fault);
  const target = { url: victim.url, instance: fault.alert };
  targets.add(target);
  await prometheus.target([...targets]);
  const firing = async () =>
    (await prometheus.query(`ALERTS{alertname="${fault.alert}",alertstate="firing"}`)).length > 0;
  try {
    const up = async () => (await prometheus.query(`up{instance="${fault.alert}"} == 1`)).length > 0;
    while (!(await up())) await Bun.sleep(200);
    if (!fault.inSettings) await Bun.sleep(QUIET_MS);
    if (await firing()) return "it fires without the fault";
    const begin = performance.now();
    for (let round = 0; performance.now() < begin + PATIENCE_MS; round++) {
      await victim.make(round);
      if (await firing()) return Math.round((performance.now() - begin) / 1_000);
      await Bun.sleep(200);
    }
    return `not within ${PATIENCE_MS / 1_000} s`;
  } finally {
    targets.delete(target);
    await prometheus.target([...targets]);
    await victim.stack.disposeAsync();
  }
}
