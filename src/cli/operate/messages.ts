import process from "node:process";
import { rawItems, rawMember } from "../../core/json-text.ts";
import { JsonText } from "../../core/json-value.ts";
import { askInstance } from "../ask.ts";
import { columns, print, UserError } from "../output.ts";
import { ago, type Flags, numberOf, subjectOf, textOf } from "./flags.ts";

/** `trunkline publish <channel> <data>`: publishes JSON as it is written; `-` reads it from stdin. @throws UserError */
export async function publish(flags: Flags, args: readonly string[]): Promise<void> {
  const channel = subjectOf(args, "where? trunkline publish <channel> <data>");
  const given = args[1] === "-" ? await stdin() : args[1];
  if (given === undefined) throw new UserError("what? trunkline publish <channel> <data>, with - for stdin");
  if (!isJson(given)) throw new UserError(`data must be JSON, such as '{"n":1}' or '"a text"'`);
  const params = { channel, data: new JsonText(given.trim()), idempotency_key: textOf(flags, "id") };
  const answer = await askInstance(textOf(flags, "url"), "publish", params);
  if (flags.json) return print(answer);
  const { offset, duplicate } = JSON.parse(answer) as { offset: number; duplicate: boolean };
  if (offset === 0) print(`published in ${channel}, which keeps nothing`);
  else print(`${duplicate ? "had been stored before" : "stored"} in ${channel} at ${offset}`);
}

interface Publication {
  readonly offset: number;
  readonly b64data?: string;
  readonly info?: { readonly user: string };
}

/** `trunkline history <channel>`: what it keeps, the newest last. @throws UserError */
export async function history(flags: Flags, args: readonly string[]): Promise<void> {
  const channel = subjectOf(args, "which channel? trunkline history <channel>");
  const { limit = 20 } = numberOf(flags, "limit", 1_000);
  const params = { channel, limit, reverse: !flags.oldest };
  const answer = await askInstance(textOf(flags, "url"), "history", params);
  if (flags.json) return print(answer);
  const rows = rawItems(rawMember(answer, "publications") ?? "[]").map((text) => {
    const { offset, b64data, info } = JSON.parse(text) as Publication;
    // As it was written: a parse would change numbers in it.
    return [`${offset}`, info?.user ?? "", rawMember(text, "data") ?? `base64 ${b64data}`];
  });
  if (rows.length === 0) return print(`${channel} keeps nothing`);
  print(columns(flags.oldest ? rows : rows.toReversed()));
}

interface Connection {
  readonly instance: string;
  readonly since: number;
}

/** `trunkline kick <user>`: closes a user's connections, on all instances. @throws UserError */
export async function kick(flags: Flags, args: readonly string[]): Promise<void> {
  const user = subjectOf(args, "who? trunkline kick <user>");
  const url = textOf(flags, "url");
  const client = textOf(flags, "client");
  const known = await askInstance(url, "connections", { user });
  const { connections } = JSON.parse(known) as { connections: Record<string, Connection> };
  const meant = Object.entries(connections).filter(([id]) => client === undefined || id === client);
  // Even when none is known: presence may not be whole.
  const close = flags.back ? { disconnect: { code: 3000, reason: "disconnected by an operator" } } : {};
  const answer = await askInstance(url, "disconnect", {
    user,
    ...(client !== undefined && { client }),
    ...close,
  });
  if (flags.json)
    return print(JSON.stringify({ ...JSON.parse(answer), connections: Object.fromEntries(meant) }));
  if (meant.length === 0)
    return print(`no connection of ${user} is known${client === undefined ? "" : " by that id"}`);
  print(
    columns(
      meant.map(([id, { instance, since }]) => [
        id,
        `on ${instance}`,
        `since ${ago(since * 1_000)}`,
        "is closed",
      ]),
    ),
  );
}

/** `trunkline level [level]`: tells or changes the level of the log of running instances. @throws UserError */
export async function level(flags: Flags, [wanted]: readonly string[]): Promise<void> {
  const params = {
    ...(wanted !== undefined && { level: wanted }),
    instance: textOf(flags, "instance"),
    ...numberOf(flags, "seconds", 86_400),
  };
  const answer = await askInstance(textOf(flags, "url"), "log_level", params);
  if (flags.json) return print(answer);
  const { levels, partial } = JSON.parse(answer) as { levels: Record<string, string>; partial?: boolean };
  print(columns(Object.entries(levels)));
  if (partial) print("not every instance has answered");
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

async function stdin(): Promise<string> {
  let text = "";
  for await (const piece of process.stdin.setEncoding("utf8")) text += piece;
  return text;
}
