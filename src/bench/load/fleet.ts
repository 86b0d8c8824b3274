import type { Child, Children } from "../../process/children.ts";
import { workerArguments } from "../../process/own-program.ts";
import { type Report, type Sum, sum } from "../tally.ts";
import type { Turnover } from "./client/turnover.ts";
import { headcount } from "./layout.ts";
import type { Gathering, Order, Progress, WorkerReply, WorkerRequest } from "./orders.ts";
import type { Pace, Publishing } from "./pace.ts";

/** Clients that connect at the same time, over all workers: well below the listen backlog of any server (512). */
const WINDOW = 256;

type Share = "first" | "count" | "window" | "fill";

export interface FleetOptions {
  /**
   * Workers whose clients connect at the same time; default all. With fewer, servers are filled one after another.
   * Otherwise dozens of processes on a few processors would each accept a client now and then, and run with cold
   * caches.
   */
  readonly atOnce?: number;
  /** Called from time to time with the sums since the last report. */
  readonly onProgress?: (progress: Progress) => void;
}

/** All clients of a run, spread over worker processes. */
export class Fleet implements AsyncDisposable {
  readonly #workers: readonly Worker[];
  readonly #atOnce: number;
  /** Clients of each worker. */
  #counts: readonly number[] = [];

  constructor(
    children: Children,
    workers: number,
    { atOnce = workers, onProgress = () => {} }: FleetOptions = {},
  ) {
    this.#atOnce = Math.min(atOnce, workers);
    this.#workers = Array.from(
      { length: workers },
      () =>
        new Worker(
          children.start({
            role: "worker",
            args: workerArguments("load-worker", new URL("./worker.ts", import.meta.url)),
          }),
          () => onProgress(this.progress),
        ),
    );
  }

  /** Sums since the last report. */
  get progress(): Progress {
    const total = { ...NOTHING };
    for (const { progress } of this.#workers) {
      total.settled += progress.settled;
      total.messages += progress.messages;
      total.answered += progress.answered;
    }
    return total;
  }

  /** Divides the clients of the layout among the workers and signs their tokens; no client connects yet. */
  async gather(common: Omit<Gathering, Share>): Promise<void> {
    const { length } = this.#workers;
    const clients = headcount(common.layout);
    const window = Math.max(1, Math.floor(WINDOW / this.#atOnce));
    const firsts = this.#workers.map((_, index) => Math.floor((clients * index) / length));
    this.#counts = firsts.map((first, index) => (firsts[index + 1] ?? clients) - first);
    await this.#each((index) => ({
      kind: "gather",
      ...common,
      first: firsts[index]!,
      count: this.#counts[index]!,
      window,
      fill: this.#atOnce < length,
    }));
  }

  /** @param share part of the clients: those of the lowest numbers of each worker */
  async open(share = 1): Promise<void> {
    const left = this.#workers.values();
    const lane = async () => {
      for (const worker of left) await worker.order({ kind: "open", share });
    };
    await Promise.all(Array.from({ length: this.#atOnce }, lane));
  }

  /** Reconnects the clients a server disconnected; from now on no client connects to `avoidPort`. */
  async reopen(avoidPort?: number): Promise<void> {
    await this.#all({ kind: "reopen", avoidPort });
  }

  /** Cuts the connections of all clients whose number is a multiple of `step`. */
  async drop(step = 1): Promise<void> {
    await this.#all({ kind: "drop", step });
  }

  /** Cuts and reopens one connection after another, at a fixed rate. */
  async churn({ count, ratePerSecond }: Pace): Promise<void> {
    await this.#each((index) => ({
      kind: "churn",
      count: Math.round(count * this.#share(index)),
      ratePerSecond: ratePerSecond * this.#share(index),
    }));
  }

  /** Lets clients leave and others come, at these rates in all. */
  async change(turnover: Turnover): Promise<void> {
    await this.#each((index) => ({
      kind: "change",
      ...turnover,
      leavePerSecond: turnover.leavePerSecond * this.#share(index),
      comePerSecond: turnover.comePerSecond * this.#share(index),
    }));
  }

  /** Lets clients publish, `ratePerSecond` in all. */
  async publish(publishing: Publishing): Promise<void> {
    await this.#each((index) => ({
      kind: "publish",
      ...publishing,
      ratePerSecond: publishing.ratePerSecond * this.#share(index),
    }));
  }

  /** Counts missing messages, given that every publisher has published `each` messages. */
  async settle(each: number): Promise<void> {
    await this.#all({ kind: "settle", each });
  }

  /** Counts gaps in what each client got, and what those who are there lack of the `newest` message. */
  async settleChains(newest: number): Promise<void> {
    await this.#all({ kind: "settleChains", newest });
  }

  /** Everything counted since the last report. */
  async report(): Promise<Sum> {
    const reports = await this.#all({ kind: "report" });
    for (const worker of this.#workers) worker.progress = NOTHING;
    return sum(reports.filter((report) => report !== undefined));
  }

  /** Process ids of the workers. */
  get pids(): number[] {
    return this.#workers.map(({ child }) => child.process.pid!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.child.stop()));
  }

  /** Share of all clients that one worker has. */
  #share(index: number): number {
    return this.#counts[index]! / this.#counts.reduce((sum, count) => sum + count, 0);
  }

  #all(order: Order): Promise<(Report | undefined)[]> {
    return this.#each(() => order);
  }

  #each(order: (index: number) => Order): Promise<(Report | undefined)[]> {
    return Promise.all(this.#workers.map((worker, index) => worker.order(order(index))));
  }
}

const NOTHING: Progress = { settled: 0, messages: 0, answered: 0 };

/** The fleet's side of one worker process. */
class Worker {
  readonly child: Child;
  progress = NOTHING;
  readonly #waiting = new Map<number, PromiseWithResolvers<Report | undefined>>();
  #lastId = 0;

  constructor(child: Child, onProgress: () => void) {
    this.child = child;
    child.process.on("message", (reply: WorkerReply) => {
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
    this.child.process.send({ id, order } satisfies WorkerRequest);
    return waiting.promise;
  }
}
