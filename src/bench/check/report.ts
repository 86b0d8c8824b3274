import type { CheckResult, CheckSample } from "./run.ts";
import { WRONGS } from "./watch.ts";

/** The state of a check in one line. */
export function sampleLine({ second, clients, connected, waiting, counts, gone, back }: CheckSample): string {
  const wrong = WRONGS.reduce((sum, one) => sum + counts[one], 0);
  return [
    `${second} s`,
    `${connected}/${clients} connected`,
    `${counts.acked} acknowledged`,
    `${counts.deliveries} deliveries`,
    `${waiting} waiting`,
    ...(gone + back > 0 ? [`-${gone} +${back} connections`] : []),
    ...(counts.failed > 0 ? [`${counts.failed} attempts failed`] : []),
    ...(wrong > 0 ? [`${wrong} WRONG`] : []),
  ].join(", ");
}

/** The final table: labels and values. */
export function resultRows(result: CheckResult): [what: string, figure: string][] {
  const { counts, seconds, clients, reconnects, stranded, gonePerSecond, backPerSecond } = result;
  const number = (value: number) => value.toLocaleString("en");
  return [
    ["clients, for", `${number(clients)}, ${Math.round(seconds)} s`],
    ["messages acknowledged", number(counts.acked)],
    ["attempts to publish that failed", number(counts.failed)],
    ["messages never acknowledged", number(counts.unanswered)],
    ["deliveries", number(counts.deliveries)],
    ["lost", number(counts.lost)],
    ["duplicated", number(counts.duplicated)],
    ["reordered", number(counts.reordered)],
    ["gaps that were announced", number(counts.discontinuities)],
    ["gaps that were not", number(counts.unannounced)],
    ["published by nobody", number(counts.unknown)],
    ["with other contents than published", number(counts.altered)],
    ["held by a client, untold, and not so in the store", number(counts.contradicted)],
    ["again after an announced gap", number(counts.repeated)],
    [
      "in the store at the end",
      result.storeUnread ? `not compared: ${result.storeUnread}` : number(counts.compared),
    ],
    ["acknowledged, and gone from the store", result.storeUnread ? "–" : number(counts.forgotten)],
    ["reconnects", number(reconnects)],
    ["recoveries", number(counts.recoveries)],
    ["clients that did not come back", number(stranded)],
    ["connections lost a second, at most", number(Math.max(0, ...gonePerSecond))],
    ["connections made again a second, at most", number(Math.max(0, ...backPerSecond))],
    ["longest silence of a client", ms(counts.longestSilenceMs)],
    ...result.disturbances.map(({ second, clients, silent, p50Ms, maxMs }): [string, string] => [
      `after ${second.toFixed(1)} s: ${number(clients)} lost their connection; first delivery again`,
      `p50 ${ms(p50Ms)}, max ${ms(maxMs)}${silent > 0 ? `, ${silent} have had none` : ""}`,
    ]),
    ...Object.entries(result.reasons).map(([reason, count]): [string, string] => [
      `  ${reason}`,
      number(count),
    ]),
  ];
}

/** Milliseconds for people; a dash if there is no value. */
export function ms(value: number | undefined): string {
  if (value === undefined) return "–";
  return value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1_000).toFixed(1)} s`;
}
