import { askInstance } from "../ask.ts";
import { columns, paint, print } from "../output.ts";
import { ago, type Flags, sizeText, subjectOf, textOf } from "./flags.ts";

interface Subscribed {
  readonly channel: string;
  readonly side: string;
  readonly offset: number;
  readonly catching_up: boolean;
  readonly rights: readonly string[];
}

interface Connection {
  readonly client: string;
  readonly instance: string;
  readonly region: string;
  readonly protocol: string;
  readonly transport: string;
  readonly library?: string;
  readonly address: string;
  readonly since_ms: number;
  readonly silent_ms: number;
  readonly unsent_bytes: number;
  readonly subscriptions: number;
  readonly subscribed?: readonly Subscribed[];
}

interface Trouble {
  readonly at_ms: number;
  readonly instance: string;
  readonly what: string;
  readonly channel?: string;
  readonly code: number;
  readonly message: string;
  readonly times?: number;
}

interface User {
  readonly user: string;
  readonly blocked: boolean;
  readonly connections: readonly Connection[];
  readonly troubles: readonly Trouble[];
  readonly partial: boolean;
}

/** `trunkline user <id>`: where a user is connected, with what, to which channels; and what it was refused. @throws UserError */
export async function user(flags: Flags, args: readonly string[]): Promise<void> {
  const id = subjectOf(args, "which user? trunkline user <id>");
  const answer = await askInstance(textOf(flags, "url"), "user", { user: id });
  if (flags.json) return print(answer);
  const look = JSON.parse(answer) as User;
  if (look.blocked) print(paint("red", `${id} is blocked: trunkline list shows until when`));
  if (look.connections.length === 0) print(`${id} has no connection`);
  for (const connection of look.connections) print(connectionText(connection));
  if (look.troubles.length > 0)
    print(`${paint("bold", "of late")}\n${columns(look.troubles.map(troubleRow))}`);
  if (look.partial) print(paint("yellow", "not every instance has answered"));
}

function connectionText(one: Connection): string {
  const { client, instance, region, protocol, transport, library, address, subscribed = [] } = one;
  const unsent = one.unsent_bytes > 0 ? `, ${sizeText(one.unsent_bytes)} wait for it` : "";
  const head = [
    paint("bold", `${client} on ${instance} (${region})`),
    `  ${library ?? protocol} by ${transport} from ${address}, since ${ago(one.since_ms)}, last heard ${ago(Date.now() - one.silent_ms)}${unsent}`,
  ];
  const rows = subscribed.map(({ channel, side, offset, catching_up: late, rights }) => [
    `  ${channel}`,
    `at ${offset}${late ? ", being brought up to date" : ""}`,
    side === "server" ? "subscribed by the server" : "",
    rights.length > 0 ? `may ${rights.join(", ")}` : "",
  ]);
  const more = one.subscriptions - subscribed.length;
  if (more > 0) rows.push([`  and ${more} more`]);
  return [...head, ...(rows.length > 0 ? [columns(rows)] : [])].join("\n");
}

function troubleRow(trouble: Trouble): string[] {
  const { at_ms: at, code, message, instance, times = 1 } = trouble;
  const text = `${happened(trouble)}${times > 1 ? ` ${times} times` : ""}`;
  return [`  ${ago(at)}`, text, `${code} ${message}`, instance];
}

/** Codes from here on are no errors of commands: the server ended something. */
const FIRST_END = 1_000;

function happened({ what, channel, code }: Trouble): string {
  if (what === "end") return "connection ended";
  if (what === "unsubscribe" && code >= FIRST_END) return `subscription to ${channel} ended`;
  if (what === "recover") return `not given what it missed of ${channel}`;
  return `${what}${channel === undefined ? "" : ` of ${channel}`} refused`;
}
