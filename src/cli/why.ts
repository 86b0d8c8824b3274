import process from "node:process";
import { askInstance } from "./ask.ts";
import { columns, paint, print, UserError } from "./output.ts";

type Flags = Readonly<Record<string, string | true | undefined>>;

interface Finding {
  readonly kind: "cause" | "hint" | "fine";
  readonly text: string;
}

/** How each kind is marked, with a colour where there is a terminal. */
const MARKS = { cause: ["red", "cause"], hint: ["yellow", "hint"], fine: ["green", "fine"] } as const;

/** `trunkline why`: why a user gets nothing in a channel, from all instances, in one answer. @throws UserError */
export async function why(flags: Flags): Promise<void> {
  const text = (name: string) => (typeof flags[name] === "string" ? flags[name] : undefined);
  const [user, channel] = [text("user"), text("channel")];
  if (user === undefined && channel === undefined) throw new UserError("name --user, --channel, or both");
  const answer = await askInstance(text("url"), "why", { user, channel });
  if (flags.json) return print(answer);
  const { findings } = JSON.parse(answer) as { findings: Finding[] };
  const rows = findings.map(({ kind, text }) => {
    const [colour, word] = MARKS[kind];
    return [paint(colour, word), text];
  });
  print(columns(rows));
  // A script can ask whether there is something to do.
  if (findings.some(({ kind }) => kind === "cause")) process.exitCode = 1;
}

interface Instance {
  readonly uid: string;
  readonly region: string;
  readonly version: string;
  readonly num_clients: number;
  readonly num_users: number;
  readonly num_channels: number;
  readonly uptime: number;
}

/** `trunkline instances`: who runs, where, and with how much. @throws UserError */
export async function instances(flags: Flags): Promise<void> {
  const url = typeof flags.url === "string" ? flags.url : undefined;
  const answer = await askInstance(url, "info", {});
  if (flags.json) return print(answer);
  const { nodes, partial } = JSON.parse(answer) as { nodes: Instance[]; partial?: boolean };
  const sorted = nodes.toSorted((one, other) =>
    `${one.region} ${one.uid}`.localeCompare(`${other.region} ${other.uid}`),
  );
  print(
    columns(
      sorted.map((node) => [
        node.region,
        node.uid,
        node.version,
        `${node.num_clients} connections`,
        `${node.num_users} users`,
        `${node.num_channels} channels`,
        `up ${node.uptime} s`,
      ]),
    ),
  );
  if (partial) print("some instances have not answered");
}
