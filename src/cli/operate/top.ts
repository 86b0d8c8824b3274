import { askInstance } from "../ask.ts";
import { columns, paint, print, UserError } from "../output.ts";
import { type Flags, numberOf, sizeText, textOf } from "./flags.ts";

interface Busy {
  readonly name: string;
  readonly user?: string;
  readonly instance?: string;
  readonly region?: string;
  readonly messages_in: number;
  readonly bytes_in: number;
  readonly messages_out: number;
  readonly bytes_out: number;
}

const KINDS = ["channels", "connections", "users", "instances"] as const;
type Kind = (typeof KINDS)[number];

/** Longest time that is counted, s, and most of each kind. */
const LONGEST = 30;
const MOST = 100;

/** `trunkline top`: who is busy, on all instances, counted for some seconds. @throws UserError */
export async function top(flags: Flags): Promise<void> {
  const by = textOf(flags, "by");
  if (by !== undefined && !KINDS.includes(by as Kind))
    throw new UserError(`--by: ${by} is none of ${KINDS.join(", ")}`);
  const params = { ...numberOf(flags, "seconds", LONGEST), ...numberOf(flags, "limit", MOST) };
  const answer = await askInstance(textOf(flags, "url"), "top", params, (params.seconds ?? 2) * 1_000);
  if (flags.json) return print(answer);
  const look = JSON.parse(answer) as Record<Kind, Busy[]> & { seconds: number; partial: boolean };
  for (const kind of by === undefined ? KINDS : [by as Kind]) print(table(kind, look[kind], look.seconds));
  if (look.partial) print(paint("yellow", "not every instance has answered"));
}

function table(kind: Kind, busy: readonly Busy[], seconds: number): string {
  const perSecond = (count: number) => (count / seconds).toFixed(1);
  const rows = busy.map((one) => [
    [one.name, one.user, one.instance ?? one.region].filter(Boolean).join(" "),
    `${perSecond(one.messages_in)}/s`,
    `${sizeText(one.bytes_in / seconds)}/s`,
    `${perSecond(one.messages_out)}/s`,
    `${sizeText(one.bytes_out / seconds)}/s`,
  ]);
  if (rows.length === 0) return `${kind}: none is busy`;
  return columns([[kind, "in", "", "out", ""], ...rows]);
}
