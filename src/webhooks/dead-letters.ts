import type { Outbox } from "../broker/outbox.ts";
import { type Failure, type WebhookItem, writeItem } from "./item.ts";

/** The line in which the events of a line stand that were set aside. No webhook has such a line. */
export function deadLine(line: string): string {
  return `dead.${line}`;
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
