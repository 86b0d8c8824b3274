import { fileURLToPath } from "node:url";
import type { Child, Children } from "./children.ts";
import type { Gathering, Order, Progress, Reply, Request } from "./orders.ts";
import { type Report, type Sum, sum } from "./tally.ts";

const WORKER = fileURLToPath(new URL("./worker.ts", import.meta.url));

/** Clients on their way in at once, all workers together: well under the listen backlog of any server (512). */
const WINDOW = 256;

type Part = "first" | "count" | "window";

/** All clients of a run, spread over worker processes. */
export class Fleet implements AsyncDisposable {
  readonly #workers: readonly Worker[];
  readonly #onProgress: (progress: Progress) => void;

  /** @param onProgress called every now and then with the sums since the last report */
  constructor(children: Children, workers: number, onProgress: (progress: Progress) => void = () => {}) {
    this.#onProgress = onProgress;
    this.#workers = Array.from(
      { length: workers },
      () =>
        new Worker(children.start({ role: "worker", args: [WORKER] }), () => this.#onProgress(this.progress)),
    );
  }

  /** Sums since the last report. */
  get progress(): Progress {
    let settled = 0;
    let messages = 0;
    for (const { progress } of this.#workers) {
      settled += progress.settled;
      messages += progress.messages;
    }
    return { settled, messages };
  }

  /** Divides `clients` among the workers and signs their tokens; nobody connects yet. */
  async gather(clients: number, common: Omit<Gathering, Part>): Promise<void> {
    const { length } = this.#workers;
    const window = Math.max(1, Math.floor(WINDOW / length));
    let first = 0;
    await Promise.all(
      this.#workers.map((worker, index) => {
        const count = Math.floor((clients * (index + 1)) / length) - first;
        const order = { kind: "gather", ...common, first, count, window } as const;
        first += count;
        return worker.order(order);
      }),
    );
  }

  async open(): Promise<void> {
    await this.#all({ kind: "open" });
  }

  async drop(): Promise<void> {
    await this.#all({ kind: "drop" });
  }

  /** Counts what `upTo` messages should have brought and did not. */
  async settle(upTo: number): Promise<void> {
    await this.#all({ kind: "settle", upTo });
  }

  /** What was counted since the last report. */
  async report(): Promise<Sum> {
    const reports = await this.#all({ kind: "report" });
    for (const worker of this.#workers) worker.progress = NOTHING;
    return sum(reports.filter((report) => report !== undefined));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.child.stop()));
  }

  #all(order: Order): Promise<(Report | undefined)[]> {
    return Promise.all(this.#workers.map((worker) => worker.order(order)));
  }
}

const NOTHING: Progress = { settled: 0, messages: 0 };

/** The fleet's end of one worker. */
class Worker {
  readonly child: Child;
  progress = NOTHING;
  readonly #waiting = new Map<number, PromiseWithResolvers<Report | undefined>>();
  #lastId = 0;

  constructor(child: Child, onProgress: () => void) {
    this.child = child;
    child.process.on("message", (reply: Reply) => {
      if ("progress" in reply) {
        this.progress = reply.progress;
        onProgress();
        return;
      }
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if (reply.error === undefined) waiting?.resolve(reply.report);
      else waiting?.reject(new Error(`a load worker failed: ${reply.error}`));
    });
    const gone = (why: string) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`a load worker ended: ${why}`));
      this.#waiting.clear();
    };
    child.process.on("error", (error) => gone(error.message));
    child.process.on("exit", (code, signal) => gone(`${signal ?? `exit code ${code}`}`));
  }

  order(order: Order): Promise<Report | undefined> {
    const id = ++this.#lastId;
    const waiting = Promise.withResolvers<Report | undefined>();
    this.#waiting.set(id, waiting);
    this.child.process.send({ id, order } satisfies Request);
    return waiting.promise;
  }
}
