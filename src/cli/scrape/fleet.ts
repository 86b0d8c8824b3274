import type { Worker } from "../reload/fleet.ts";
import type { FromWorker } from "../reload/messages.ts";
import { mergePages, supervisorPage, type WorkerState } from "./merge.ts";

/** How long a worker may take to tell its metrics, ms: less than Prometheus waits for all (`scrape_timeout`, 10 s). */
const READ_MS = 3_000;

/** A worker as the supervisor knows it; `worker` while it listens. */
export interface ScrapedWorker extends WorkerState {
  readonly worker: Worker | undefined;
}

/** The metrics of all workers of a supervisor in one page, whoever is asked for them. */
export class FleetMetrics {
  readonly #workers: () => readonly ScrapedWorker[];
  /** Who is waited for, by the worker's number; of one reading at a time. */
  readonly #waiting = new Map<number, (page: string | undefined) => void>();
  #underWay: Promise<string> | undefined;
  #id = 0;

  constructor(workers: () => readonly ScrapedWorker[]) {
    this.#workers = workers;
  }

  /** One page; who asks while it is made gets the same. Never rejects: a worker that does not answer is said to be down. */
  text(): Promise<string> {
    this.#underWay ??= this.#read().finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  answered(worker: number, { id, text }: Extract<FromWorker, { kind: "page" }>): void {
    if (id === this.#id) this.#waiting.get(worker)?.(text);
  }

  /** It has ended: its metrics went with it. */
  left(worker: number): void {
    this.#waiting.get(worker)?.(undefined);
  }

  async #read(): Promise<string> {
    const workers = this.#workers();
    const id = ++this.#id;
    const pages = new Map<number, string>();
    await Promise.all(
      workers.map(async ({ number, worker }) => {
        const page = worker && (await this.#page(worker, id));
        if (page !== undefined) pages.set(number, page);
      }),
    );
    const inOrder = new Map([...pages].sort(([a], [b]) => a - b));
    return `${supervisorPage(workers, new Set(pages.keys()))}\n${mergePages(inOrder)}`;
  }

  #page(worker: Worker, id: number): Promise<string | undefined> {
    return new Promise((resolve) => {
      const answer = (page: string | undefined) => {
        clearTimeout(late);
        this.#waiting.delete(worker.number);
        resolve(page);
      };
      const late = setTimeout(() => answer(undefined), READ_MS);
      this.#waiting.set(worker.number, answer);
      if (!worker.send({ kind: "read", id })) answer(undefined);
    });
  }
}
