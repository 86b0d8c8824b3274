import { askInstance } from "../ask.ts";
import { columns, paint, print } from "../output.ts";
import { ago, type Flags, sizeText, subjectOf, textOf } from "./flags.ts";

interface Kept {
  readonly offset: number;
  readonly at_ms: number;
  readonly bytes: number;
  readonly user?: string;
}

interface Channel {
  readonly channel: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly subscribers: number;
  readonly instances: readonly { instance: string; region: string; subscribers: number; offset: number }[];
  readonly presence?: { readonly clients: number; readonly users: number; readonly partial: boolean };
  readonly position?: { readonly offset: number; readonly epoch: string };
  readonly oldest?: Kept;
  readonly newest?: Kept;
  readonly failure?: string;
  readonly partial: boolean;
}

/** `trunkline channel <name>`: its subscribers, its end, what it keeps, the settings in force. @throws UserError */
export async function channel(flags: Flags, args: readonly string[]): Promise<void> {
  const name = subjectOf(args, "which channel? trunkline channel <name>");
  const answer = await askInstance(textOf(flags, "url"), "channel", { channel: name });
  if (flags.json) return print(answer);
  const look = JSON.parse(answer) as Channel;
  print(columns(rowsOf(look)));
  if (look.partial) print(paint("yellow", "not every instance has answered"));
}

function rowsOf(look: Channel): string[][] {
  const { subscribers, instances, presence, position, oldest, newest, failure, settings } = look;
  const rows = [["subscribers", `${subscribers}`]];
  for (const one of instances) {
    const behind = position && one.offset < position.offset ? paint("red", ", behind the store") : "";
    rows.push(["", `${one.subscribers} on ${one.instance} (${one.region}), at ${one.offset}${behind}`]);
  }
  if (presence) {
    const missing = presence.partial ? " (some may be missing)" : "";
    rows.push(["presence", `${presence.clients} connections of ${presence.users} users${missing}`]);
  }
  if (position) rows.push(["end", `${position.offset} in ${position.epoch || "no epoch yet"}`]);
  if (newest) rows.push(["newest", keptText(newest)]);
  if (oldest) rows.push(["oldest kept", keptText(oldest)]);
  if (position && !newest) rows.push(["kept", "nothing"]);
  if (failure !== undefined) rows.push(["store", paint("red", failure)]);
  if (!position && failure === undefined) rows.push(["kept", "nothing: the namespace has no history"]);
  const shown = Object.entries(settings).filter(
    ([, value]) => value !== false && value !== null && value !== "off",
  );
  for (const [index, [key, value]] of shown.entries()) {
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    rows.push([index === 0 ? "settings" : "", `${key} ${text}`]);
  }
  return rows;
}

function keptText({ offset, at_ms: at, bytes, user }: Kept): string {
  return `${offset}, stored ${ago(at)}, ${sizeText(bytes)}${user === undefined ? "" : `, of ${user}`}`;
}
