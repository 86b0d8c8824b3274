import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { boardQueries } from "../monitoring/board.ts";

const file = (path: string) => Bun.file(fileURLToPath(new URL(`../../${path}`, import.meta.url)));
const variables = { instance: "one|two", namespace: ".*", rateInterval: "1m" };

test("deploy/monitoring/grafana.json is what `bun deploy/dashboard.ts` prints", async () => {
  const printed = Bun.spawnSync([
    process.execPath,
    fileURLToPath(new URL("../../deploy/dashboard.ts", import.meta.url)),
  ]);
  expect(await file("deploy/monitoring/grafana.json").json()).toEqual(JSON.parse(`${printed.stdout}`));
});

test("every query of the dashboard is PromQL, and every variable in it has a value", async () => {
  const queries = await boardQueries(variables);
  expect(queries.length).toBeGreaterThan(80);
  expect(queries.filter(({ expr }) => expr.includes("$"))).toEqual([]);
  const dir = await mkdtemp(join(tmpdir(), "trunkline-queries-"));
  const rules = queries.map(({ expr }, at) => ({ record: `query_${at}`, expr }));
  await Bun.write(join(dir, "rules.yaml"), JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
  const checked = Bun.spawnSync(["promtool", "check", "rules", join(dir, "rules.yaml")]);
  await rm(dir, { recursive: true });
  expect(`${checked.stdout}${checked.stderr}`).toContain(`SUCCESS: ${queries.length} rules found`);
});

test("every metric is on a panel; panels say what they show, and lead to pages that exist", async () => {
  const queries = (await boardQueries(variables)).map(({ expr }) => expr).join("\n");
  const listed = [
    ...(await file("docs/metrics.md").text()).matchAll(/^- ((?:`\w+(?:\{[\w,]+\})?`(?:, )?)+):/gm),
  ].flatMap(([, list]) => [...list!.matchAll(/`(\w+)/g)].map(([, name]) => name!));
  expect(listed.length).toBeGreaterThan(80);
  const shown = (name: string) =>
    new RegExp(`\\b(trunkline_)?${name}(_bucket|_sum|_count)?\\{`).test(queries);
  expect(listed.filter((name) => !shown(name))).toEqual([]);
  const { panels } = (await file("deploy/monitoring/grafana.json").json()) as {
    panels: { type: string; title: string; description?: string; links?: { url: string }[] }[];
  };
  const runbook = (await file("docs/runbook.md").text()).toLowerCase();
  for (const { type, title, description = "", links = [] } of panels) {
    if (type !== "row") expect([title, description.length > 10]).toEqual([title, true]);
    for (const { url } of links) expect(runbook).toContain(`\n## ${url.split("#")[1]}\n`);
  }
  expect(panels.filter(({ type }) => type === "row").length).toBeGreaterThan(9);
  expect(panels.filter(({ type }) => type === "stat").length).toBeGreaterThan(9);
});
