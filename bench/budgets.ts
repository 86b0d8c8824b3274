import { type FigureName, show } from "../src/bench/load/report/figures.ts";
import { baseline, type Summaries, summarize } from "../src/bench/load/report/summary.ts";
import type { Row } from "../src/bench/load/run.ts";
import { aligned } from "./markdown.ts";

/** One part of the results, as far as budgets are about it. */
export interface Measured {
  readonly id: string;
  readonly rows: readonly Row[];
}

/** What a budget is judged by: the part's own figures, and those of others in it. */
interface Figures {
  readonly own: Summaries;
  /** Plain Bun's. */
  readonly control: Summaries;
  /** Those of the peer that does the same work. */
  readonly peer: Summaries;
  /** Plain Bun's where it has a row for connections that do nothing. */
  readonly bare: Summaries;
}

interface Verdict {
  readonly text: string;
  readonly kept: boolean;
}

/** One budget: what is allowed, and how it is judged; `undefined` when it was not measured. */
interface Budget {
  readonly what: string;
  readonly id: string;
  judge(figures: Figures): Verdict | undefined;
}

const OWN = "trunkline";
/** Stores what is published outside of its process, and tells others who is there. */
const PEER = "Centrifugo, Redis";

const KB = 1024;
const MB = 1024 * KB;

const NAMES = { rooms: "rooms", fanin: "fan-in", latency: "one quiet channel" } as const;

const BUDGETS: readonly Budget[] = [
  ...(["rooms", "fanin", "latency"] as const).flatMap((id) => [asPeer(id), tail(id)]),
  overNats(
    "p50: publish to delivered ≤ that of a plain NATS subscriber + 1 ms",
    "p50",
    "natsP50",
    (ms) => ms + 1,
  ),
  overNats(
    "p99: publish to delivered ≤ 1.5 × that of a plain NATS subscriber",
    "p99",
    "natsP99",
    (ms) => ms * 1.5,
  ),
  {
    what: "connects with authenticate and subscribe ≥ half of plain Bun's bare upgrades",
    id: "idle",
    judge: ({ own, control }) => times(own, control, "connectRate", (share) => share >= 0.5),
  },
  {
    what: "the same with an inbox of its own ≥ 0.3 × plain Bun's bare upgrades",
    id: "idle-inbox",
    judge: ({ own, bare }) => times(own, bare, "connectRate", (share) => share >= 0.3),
  },
  {
    what: "fan-out: processor time per delivery ≤ 1.05 × plain Bun's",
    id: "broadcast",
    judge: ({ own, control }) => times(own, control, "deliveryCpu", (share) => share <= 1.05),
  },
  atMost("user memory per idle connection ≤ 2.5 KB", "idle", "userBytes", 2.5 * KB),
  atMost("the same with an inbox of its own ≤ 4.5 KB", "idle-inbox", "userBytes", 4.5 * KB),
  atMost("user memory of an empty instance ≤ 25 MB", "idle", "emptyBytes", 25 * MB),
  atMost("an empty instance takes ≤ 0.2 % of a processor: 2 ms a second", "idle", "emptyCpu", 2),
  atMost("stream reads for a whole channel that resumes ≤ 1", "storm", "streamReads", 1),
  {
    what: "a resume is faster than a first connect",
    id: "storm",
    judge: ({ own: { resumeRate, connectRate } }) =>
      resumeRate && connectRate
        ? {
            text: `${show("resumeRate", resumeRate.value)} against ${show("connectRate", connectRate.value)}`,
            kept: resumeRate.value >= connectRate.value,
          }
        : undefined,
  },
  atMost("Redis commands per idle connection ≤ 0.01 /s", "idle", "idleRedis", 0.01),
];

function asPeer(id: keyof typeof NAMES): Budget {
  return {
    what: `p99, ${NAMES[id]} ≤ that of ${PEER} in the same run`,
    id,
    judge: ({ own: { p99 }, peer: { p99: its } }) =>
      p99 && its
        ? {
            text: `${show("p99", p99.value)} against ${show("p99", its.value)}`,
            kept: p99.value <= its.value,
          }
        : undefined,
  };
}

function tail(id: keyof typeof NAMES): Budget {
  return {
    what: `p99.9, ${NAMES[id]} ≤ 2 × p99`,
    id,
    judge: ({ own: { p99, p999 } }) =>
      p99 && p999
        ? {
            text: `${show("p999", p999.value)}, ×${(p999.value / p99.value).toFixed(2)}`,
            kept: p999.value <= 2 * p99.value,
          }
        : undefined,
  };
}

function atMost(what: string, id: string, name: FigureName, most: number): Budget {
  return {
    what,
    id,
    judge: ({ own: { [name]: own } }) => own && { text: show(name, own.value), kept: own.value <= most },
  };
}

function overNats(
  what: string,
  name: "p50" | "p99",
  behind: "natsP50" | "natsP99",
  limit: (ms: number) => number,
): Budget {
  return {
    what,
    id: "latency",
    judge: ({ own: { [name]: own, [behind]: nats } }) =>
      own && nats
        ? {
            text: `${show(name, own.value)} against ${show(behind, nats.value)}`,
            kept: own.value <= limit(nats.value),
          }
        : undefined,
  };
}

function times(
  own: Summaries,
  others: Summaries,
  name: FigureName,
  isKept: (times: number) => boolean,
): Verdict | undefined {
  const [mine, its] = [own[name]?.value, others[name]?.value];
  if (mine === undefined || !its) return undefined;
  return { text: `×${(mine / its).toFixed(2)}`, kept: isKept(mine / its) };
}

/** The table of budgets, as lines of Markdown. */
export function budgets(all: readonly Measured[]): string[] {
  const rowsOf = (id: string) => all.find((one) => one.id === id)?.rows ?? [];
  const summaries = (row: Row | undefined) =>
    row ? summarize(row.rounds.map((round) => round.figures)) : {};
  const named = (rows: readonly Row[], name: string) => rows.find(({ target }) => target === name);
  const bare = summaries(baseline(rowsOf("idle")));
  const lines = BUDGETS.map(({ what, id, judge }) => {
    const rows = rowsOf(id);
    const verdict = judge({
      own: summaries(named(rows, OWN)),
      control: summaries(baseline(rows)),
      peer: summaries(named(rows, PEER)),
      bare,
    });
    if (!verdict) return [what, "not measured", ""];
    return [what, verdict.text, verdict.kept ? "kept" : "**missed**"];
  });
  return aligned([["budget", "measured", ""], ...lines]);
}
