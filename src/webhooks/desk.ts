import type { Outbox } from "../broker/outbox.ts";
import { CommandError, Errors } from "../core/errors.ts";
import { JsonText } from "../core/json-value.ts";
import { unreachable } from "../core/unreachable.ts";
import { deadLine, lineOfDead } from "./dead-letters.ts";
import { type DeadLetter, readDeadLetter, readItem, type WebhookItem, writeItem } from "./item.ts";
import { type OutboxMethod, outboxRequests } from "./requests.ts";
import type { WebhookTarget } from "./target.ts";

/** Most events one call puts back, and of them read at once. */
const MAX_REPLAYED = 10_000;
const PAGE = 100;

/** One line as the API shows it. */
interface LineState {
  readonly line: string;
  /** Of where it leads to; absent: no webhook of the settings has this line any more. */
  readonly host?: string;
  readonly waiting: number;
  readonly set_aside: number;
  /** When the oldest event that waits happened, Unix seconds. */
  readonly oldest_at?: number;
}

/** Looks into the outbox, and puts back what was set aside; works on any instance. */
export class OutboxDesk {
  readonly #outbox: Outbox;
  readonly #hosts: ReadonlyMap<string, string>;

  constructor(outbox: Outbox, targets: readonly WebhookTarget[]) {
    this.#outbox = outbox;
    this.#hosts = new Map(targets.map(({ line, url }) => [line, new URL(url).host]));
  }

  /**
   * Carries out a request. @param params unchecked @returns the result, for `writeJson`
   * @throws CommandError badRequest, notAvailable (no such line), brokerUnavailable
   */
  async request(method: OutboxMethod, params: unknown): Promise<object> {
    switch (method) {
      case "outbox":
        return { lines: await this.#lines() };
      case "outbox_look":
        return { events: await this.#look(checked(method, params)) };
      case "outbox_replay":
        return await this.#replay(checked(method, params));
      default:
        return unreachable(method);
    }
  }

  async #lines(): Promise<readonly LineState[]> {
    const counts = await this.#outbox.counts();
    const names = new Set(this.#hosts.keys());
    for (const line of counts.keys()) names.add(lineOfDead(line) ?? line);
    const lines = [...names].sort().map(async (line): Promise<LineState> => {
      const host = this.#hosts.get(line);
      const waiting = counts.get(line) ?? 0;
      const [oldest] = waiting > 0 ? await this.#outbox.read(line, 1) : [];
      const item = oldest && readItem(oldest.text, "");
      return {
        ...{ line, ...(host !== undefined && { host }) },
        ...{ waiting, set_aside: counts.get(deadLine(line)) ?? 0 },
        ...(item && { oldest_at: seconds(item.timeMs) }),
      };
    });
    return await Promise.all(lines);
  }

  async #look({ line, waiting, limit }: { line: string; waiting?: boolean | undefined; limit: number }) {
    const from = waiting ? line : deadLine(line);
    const items = await this.#outbox.read(from, limit);
    return items.flatMap(({ seq, text }) => {
      const name = `${line}.${seq}`;
      const item = waiting ? readItem(text, name) : readDeadLetter(text, name);
      return item ? [shown(item)] : [];
    });
  }

  /** At least once: an instance that ends in the middle has put some back that are still set aside, too. */
  async #replay({ line, id }: { line: string; id?: string | undefined }): Promise<object> {
    if (!this.#hosts.has(line)) {
      throw new CommandError(Errors.notAvailable, "no webhook of the settings has this line");
    }
    const dead = deadLine(line);
    if (id !== undefined) {
      const items = await this.#outbox.read(dead, MAX_REPLAYED);
      const found = items.find(({ seq, text }) => readDeadLetter(text, `${line}.${seq}`)?.id === id);
      if (!found) throw new CommandError(Errors.notAvailable, "no such event was set aside");
      await this.#putBack(line, found);
      await this.#outbox.remove(dead, found.seq);
      return { replayed: 1 };
    }
    let replayed = 0;
    while (replayed < MAX_REPLAYED) {
      const page = await this.#outbox.read(dead, PAGE);
      for (const one of page) await this.#putBack(line, one);
      if (page.length > 0) await this.#outbox.done(dead, page.at(-1)!.seq);
      replayed += page.length;
      if (page.length < PAGE) break;
    }
    return { replayed };
  }

  async #putBack(line: string, { seq, text }: { seq: number; text: string }): Promise<void> {
    const item = readDeadLetter(text, `${line}.${seq}`);
    if (!item) return;
    // A new id of the outbox: with the old one the store would take it for a repetition.
    await this.#outbox.append(line, writeItem({ ...item, sinceMs: Date.now() }), `${item.id}.${seq}`);
  }
}

/** @throws CommandError badRequest */
function checked<M extends OutboxMethod>(method: M, params: unknown) {
  const parsed = outboxRequests[method].safeParse(params);
  if (!parsed.success) throw new CommandError(Errors.badRequest, `malformed ${method}`);
  return parsed.data as ReturnType<(typeof outboxRequests)[M]["parse"]>;
}

function shown(item: WebhookItem | DeadLetter): object {
  return {
    ...{ id: item.id, created_at: seconds(item.timeMs) },
    ...("reason" in item && {
      ...{ reason: item.reason, tries: item.tries, failed_at: seconds(item.failedMs) },
    }),
    event: new JsonText(item.event),
  };
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}
