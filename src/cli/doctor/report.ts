import { paint } from "../output.ts";

export type Verdict = "ok" | "warning" | "failed";

/** What one check found. No field holds a secret. */
export interface Finding {
  /** What was looked at; the same from run to run: `nats`, `stream RT_chat`. */
  readonly check: string;
  /** `failed`: an instance would not start, or not do what the settings promise. */
  readonly verdict: Verdict;
  readonly what: string;
  readonly cause?: string;
  /** The command to type, or the setting to change. */
  readonly fix?: string;
}

const STYLES = {
  ok: { symbol: "✓", style: "green" },
  warning: { symbol: "!", style: "yellow" },
  failed: { symbol: "✗", style: "red" },
} as const;

/** How many findings have each verdict. */
function tally(findings: readonly Finding[]): Record<Verdict, number> {
  const counts = { ok: 0, warning: 0, failed: 0 };
  for (const { verdict } of findings) counts[verdict]++;
  return counts;
}

/** The worst verdict of all. */
export function overall(findings: readonly Finding[]): Verdict {
  const counts = tally(findings);
  return counts.failed > 0 ? "failed" : counts.warning > 0 ? "warning" : "ok";
}

/** A line for each finding, with what is known of its cause and cure below; symbols and colours for terminals only. */
export function toText(findings: readonly Finding[], stream: { readonly isTTY?: boolean }): string {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const symbols = stream.isTTY === true;
  const margin = " ".repeat((symbols ? 2 : 0) + "warning".length + 2 + width + 2);
  const lines = findings.flatMap(({ check, verdict, what, cause, fix }) => {
    const { symbol, style } = STYLES[verdict];
    const mark = paint(style, `${symbols ? `${symbol} ` : ""}${verdict.padEnd("warning".length)}`, stream);
    const detail = (label: string, text: string) =>
      text
        .split("\n")
        .map(
          (line, index) => `${margin}${paint("dim", (index === 0 ? label : "").padEnd(5), stream)}${line}`,
        );
    return [
      `${mark}  ${check.padEnd(width)}  ${what}`,
      ...(cause === undefined ? [] : detail("why", cause)),
      ...(fix === undefined ? [] : detail("fix", fix)),
    ];
  });
  const { ok, warning, failed } = tally(findings);
  const end = `${ok} ok, ${warning} ${warning === 1 ? "warning" : "warnings"}, ${failed} failed`;
  return [...lines, "", paint(STYLES[overall(findings)].style, end, stream)].join("\n");
}

/** The report for programs. */
export function toJson(findings: readonly Finding[]): object {
  return { verdict: overall(findings), counts: tally(findings), checks: findings };
}

/** The middle one of some measurements. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
