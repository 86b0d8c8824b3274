import type { Outbox } from "../broker/outbox.ts";
import { type Failure, type WebhookItem, writeItem } from "./item.ts";

const DEAD = "dead.";

/** The line in which the events of a line stand that were set aside. No webhook has such a line. */
export function deadLine(line: string): string {
  return DEAD + line;
}

/** The inverse of {@link deadLine}; `undefined` of any other line. (An application `dead` has lines with one dot.) */
export function lineOfDead(line: string): string | undefined {
  return line.startsWith(DEAD) && line.split(".").length > 2 ? line.slice(DEAD.length) : undefined;
}

/** Puts an event among those that were set aside. @throws CommandError brokerUnavailable */
export async function setAside(
  outbox: Outbox,
  line: string,
  item: WebhookItem,
  failure: Failure,
): Promise<void> {
  await outbox.append(deadLine(line), writeItem(item, failure), `${item.id}.${failure.failedMs}`);
}
