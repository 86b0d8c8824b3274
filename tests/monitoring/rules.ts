import { join } from "node:path";

const RULES = new URL("../../deploy/monitoring/alerts.yaml", import.meta.url);
const SECONDS = { s: 1, m: 60 } as const;

/** A time of the rules, so many times shorter; what is looked at has at least the samples that a rate needs. */
const shorter = (amount: string, unit: keyof typeof SECONDS, factor: number, least: number) =>
  `${Math.max(least, Math.round((Number(amount) * SECONDS[unit]) / factor))}s`;

/** Writes the shipped alerts with every `for:`, every range and how late webhooks may be divided by a factor. Returns the file's path. */
export async function hurriedRules(dir: string, factor: number): Promise<string> {
  const text = (await Bun.file(RULES).text())
    .replace(/for: (\d+)([sm])/g, (_, amount, unit) => `for: ${shorter(amount, unit, factor, 1)}`)
    .replace(/(lag_seconds > )(\d+)/, (_, begin, amount) => `${begin}${Math.round(Number(amount) / factor)}`)
    .replace(/\[(\d+)([sm])\]/g, (_, amount, unit) => `[${shorter(amount, unit, factor, 6)}]`);
  const path = join(dir, `alerts-${factor}.yaml`);
  await Bun.write(path, text);
  return path;
}
