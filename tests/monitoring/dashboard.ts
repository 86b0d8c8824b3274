import { boardQueries } from "./board.ts";
import { Prometheus } from "./prometheus.ts";
import { BusySystem } from "./traffic.ts";

/*
 * Asks every query of the dashboard of a real Prometheus that has scraped a busy system: two workers and an instance in
 * another region, on NATS and Redis. A query without a number is a panel that stays empty.
 */

const SECONDS = Number(process.env.DASHBOARD_SECONDS ?? 25);

await using system = await BusySystem.start();
const targets = system.instances.map(({ url }, at) => ({
  url,
  instance: `instance-${at + 1}`,
}));
await using prometheus = await Prometheus.start({ targets, interval: "1s" });
for (const end = performance.now() + SECONDS * 1_000; performance.now() < end; await Bun.sleep(500)) {
  await system.round();
}

let empty = 0;
let row = "";
const variables = { instance: "instance-1|instance-2", namespace: ".*", rateInterval: "15s" };
for (const query of await boardQueries(variables)) {
  if (query.row !== row) console.log(`\n${query.row}`);
  row = query.row;
  const found = await prometheus.query(query.expr);
  const numbers = found.filter(({ value }) => Number.isFinite(value));
  if (numbers.length === 0) empty++;
  const figure = numbers.length === 0 ? "EMPTY" : `${numbers.length} series`;
  console.log(`  ${query.panel.padEnd(36)} ${figure.padEnd(12)} ${numbers.length === 0 ? query.expr : ""}`);
}
console.log(empty === 0 ? "\nevery query has numbers" : `\n${empty} queries are EMPTY`);
process.exitCode = empty === 0 ? 0 : 1;
