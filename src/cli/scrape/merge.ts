/** One metric in Prometheus' text format: its `# HELP` and `# TYPE`, and its samples. */
interface Family {
  readonly head: string[];
  readonly samples: string[];
}

const HEAD = /^# (?:HELP|TYPE) (\S+)/;
const SAMPLE = /^([a-zA-Z_:][\w:]*)(\{?)/;

/**
 * Puts the metrics pages of several workers together: one page in which each sample says in the label `worker` whose it is,
 * and each metric stands once. @param pages by the worker's number
 */
export function mergePages(pages: ReadonlyMap<number, string>): string {
  const families = new Map<string, Family>();
  for (const [worker, page] of pages) {
    let family: Family | undefined;
    const own = new Set<string>();
    for (const line of page.split("\n")) {
      const name = HEAD.exec(line)?.[1];
      if (name !== undefined) {
        const known = families.get(name);
        family = known ?? { head: [], samples: [] };
        families.set(name, family);
        if (!known) own.add(name);
        if (own.has(name)) family.head.push(line);
      } else if (line !== "" && !line.startsWith("#")) {
        family?.samples.push(
          line.replace(SAMPLE, (_, metric, brace) =>
            brace === "" ? `${metric}{worker="${worker}"}` : `${metric}{worker="${worker}",`,
          ),
        );
      }
    }
  }
  return text([...families.values()]);
}

/** What the supervisor knows of one worker. */
export interface WorkerState {
  readonly number: number;
  /** It has listened and ended so often since the supervisor began. */
  readonly ends: number;
}

/** The supervisor's own metrics. @param answered those that have told their own */
export function supervisorPage(workers: readonly WorkerState[], answered: ReadonlySet<number>): string {
  const family = (
    name: string,
    type: string,
    help: string,
    value: (worker: WorkerState) => number,
  ): Family => ({
    head: [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`],
    samples: workers.map((worker) => `${name}{worker="${worker.number}"} ${value(worker)}`),
  });
  return text([
    family(
      "trunkline_worker_up",
      "gauge",
      "1 for a worker whose metrics are here, 0 for one that is dead or hangs.",
      ({ number }) => (answered.has(number) ? 1 : 0),
    ),
    family(
      "trunkline_worker_ends_total",
      "counter",
      "Times a worker has ended before it was told to.",
      ({ ends }) => ends,
    ),
  ]);
}

function text(families: readonly Family[]): string {
  return families.map(({ head, samples }) => `${[...head, ...samples].join("\n")}\n`).join("\n");
}
