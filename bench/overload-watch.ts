import { Centrifuge, type StreamPosition, type Subscription } from "centrifuge";
import { columns } from "../src/cli/output.ts";

export type Priority = "low" | "normal" | "high";

/** A message, as it was published. */
export interface Seen {
  readonly n: number;
  readonly phase: "calm" | "overloaded" | "calm again" | "between";
  readonly priority: Priority;
  readonly key: string;
}

/** A stock client that keeps what it gets. */
export class Watcher {
  readonly seen: Seen[] = [];
  readonly #client: Centrifuge;
  readonly #sub: Subscription;
  #position: StreamPosition | undefined;

  /** @param since where to resume from */
  constructor(url: string, channel: string, token: string, since?: StreamPosition) {
    this.#client = new Centrifuge(url, { token, websocket: WebSocket });
    this.#sub = this.#client.newSubscription(channel, since ? { since } : {});
    this.#sub.on("subscribed", ({ streamPosition }) => {
      this.#position = streamPosition;
    });
    this.#sub.on("publication", ({ data, offset }) => {
      this.seen.push(data as Seen);
      if (this.#position && offset) this.#position = { ...this.#position, offset };
    });
    this.#sub.subscribe();
    this.#client.connect();
  }

  async subscribed(): Promise<void> {
    await this.#sub.ready(10_000);
  }

  /** After what it got last. */
  position(): StreamPosition {
    if (!this.#position) throw new Error("it is not subscribed");
    return this.#position;
  }
}

interface Outcome {
  readonly published: readonly Seen[];
  readonly watchers: readonly (readonly Seen[])[];
  /** What one got that came afterwards, and resumed from the beginning of the overload. */
  readonly late: readonly Seen[];
  /** What the instance counted. */
  readonly leftOut: number;
  readonly conflated: number;
  readonly letGo: number;
  readonly idle: number;
}

const PHASES = ["calm", "overloaded", "calm again"] as const;
const PRIORITIES = ["low", "normal", "high"] as const;

/** A table of what each priority got through, and whether that is as it should be. */
export function overloadReport(outcome: Outcome): { lines: string[]; good: boolean } {
  const { published, watchers, late, leftOut, conflated, letGo, idle } = outcome;
  const of = (all: readonly Seen[], phase: Seen["phase"], priority: Priority) =>
    all.filter((one) => one.phase === phase && one.priority === priority).length;
  const rows = PRIORITIES.map((priority) =>
    PHASES.map((phase) => {
      const sent = of(published, phase, priority);
      const got = watchers.map((seen) => of(seen, phase, priority));
      return { priority, phase, sent, least: Math.min(...got), most: Math.max(...got) };
    }),
  );
  const newest = published.findLast(({ phase }) => phase === "calm again");
  const lastOfKeys = lastNormalOfKeys(published);
  const whole = (seen: readonly Seen[]) =>
    lastOfKeys.every((n) => seen.some((one) => one.n === n)) && inOrder(seen) && seen.at(-1)?.n === newest?.n;
  const lateLow = of(late, "overloaded", "low");
  const sentLow = of(published, "overloaded", "low");
  const good =
    rows.flat().every(({ priority, phase, sent, least, most }) => {
      if (phase !== "overloaded" || priority === "high") return least === sent && most === sent;
      return priority === "low" ? most === 0 : least > 0 && most < sent;
    }) &&
    watchers.every(whole) &&
    lateLow === sentLow;
  const cell = ({ sent, least, most }: (typeof rows)[number][number]) =>
    `${least === most ? least : `${least} to ${most}`} of ${sent}`;
  return {
    good,
    lines: [
      columns([["priority", ...PHASES], ...rows.map((row, i) => [PRIORITIES[i]!, ...row.map(cell)])]),
      "",
      `each of ${watchers.length} stock clients; ${published.length} messages to one channel, which keeps them`,
      `left out: ${leftOut}, replaced by a newer one of their key: ${conflated}, idle connections let go: ${letGo} of ${idle}`,
      `one that resumed from before the overload got ${lateLow} of the ${sentLow} messages of low priority`,
      good
        ? "good: low left out, normal slimmed to the newest of each key, high whole; all else as it was published, in order"
        : "BAD: not as it should be",
    ],
  };
}

/** The last message of normal priority of each key that was published under overload. */
function lastNormalOfKeys(published: readonly Seen[]): number[] {
  const last = new Map<string, number>();
  for (const { phase, priority, key, n } of published) {
    if (phase === "overloaded" && priority === "normal") last.set(key, n);
  }
  return [...last.values()];
}

function inOrder(seen: readonly Seen[]): boolean {
  return seen.every(({ n }, i) => i === 0 || seen[i - 1]!.n < n);
}
