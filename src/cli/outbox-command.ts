import { rawItems, rawMember } from "../core/json-text.ts";
import { MAX_LOOK } from "../webhooks/requests.ts";
import { askInstance } from "./ask.ts";
import { columns, print, UserError } from "./output.ts";
import { parseInteger } from "./parse-integer.ts";

type Flags = Readonly<Record<string, string | true | undefined>>;

/** `trunkline outbox list`, `look <line>` and `replay <line>`. @throws UserError */
export async function outbox(flags: Flags, [action = "list", line]: readonly string[]): Promise<void> {
  const url = typeof flags.url === "string" ? flags.url : undefined;
  const ask = async (method: string, params: object, text: (result: string) => string) => {
    const result = await askInstance(url, method, params);
    print(flags.json ? result : text(result));
  };
  switch (action) {
    case "list":
      return await ask("outbox", {}, listText);
    case "look": {
      const limit =
        typeof flags.limit === "string" ? { limit: parseInteger("--limit", flags.limit, MAX_LOOK) } : {};
      const params = { line: named(line), waiting: flags.waiting === true, ...limit };
      return await ask("outbox_look", params, lookText);
    }
    case "replay": {
      const id = typeof flags.id === "string" ? { id: flags.id } : {};
      return await ask("outbox_replay", { line: named(line), ...id }, replayText);
    }
    default:
      throw new UserError(`outbox: ${action} is not one of list, look and replay`);
  }
}

interface Line {
  readonly line: string;
  readonly host?: string;
  readonly waiting: number;
  readonly set_aside: number;
  readonly oldest_at?: number;
}

interface Event {
  readonly id: string;
  readonly created_at: number;
  readonly reason?: string;
  readonly tries?: number;
}

function named(line: string | undefined): string {
  if (line) return line;
  throw new UserError("which line? `trunkline outbox list` shows them");
}

function listText(result: string): string {
  const { lines } = JSON.parse(result) as { lines: Line[] };
  const rows = lines.map(({ line, host, waiting, set_aside: aside, oldest_at: oldest }) => [
    line,
    host ?? "(no webhook any more)",
    `${waiting} waiting${oldest === undefined ? "" : ` since ${time(oldest)}`}`,
    `${aside} set aside`,
  ]);
  return columns(rows);
}

/** Events as they were written: a parse would change numbers in them. */
function lookText(result: string): string {
  const events = rawItems(rawMember(result, "events") ?? "[]");
  if (events.length === 0) return "nothing";
  return columns(
    events.map((text) => {
      const { id, created_at: at, reason, tries } = JSON.parse(text) as Event;
      const failure = reason === undefined ? "" : `${reason}, ${tries} tries`;
      return [id, time(at), failure, rawMember(text, "event") ?? ""];
    }),
  );
}

function replayText(result: string): string {
  const { replayed } = JSON.parse(result) as { replayed: number };
  return `${replayed} put back at the end of the line`;
}

function time(seconds: number): string {
  return new Date(seconds * 1_000).toISOString();
}
