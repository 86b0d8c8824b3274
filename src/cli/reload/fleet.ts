import type { SettingsTexts } from "../settings.ts";
import { SettingsError } from "../settings.ts";
import type { Prepared } from "./drivers.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

/** A worker that listens. */
export interface Worker {
  readonly number: number;
  /** Tells it; false when it is gone. */
  send(message: ToWorker): boolean;
}

/** How long a worker may take to get other settings ready, ms: streams may have to be made. */
const PREPARE_MS = 30_000;

interface Question {
  readonly worker: Worker;
  readonly answer: (problems: readonly string[]) => void;
}

/** Has all workers of a supervisor take over the same settings, or none. */
export class FleetReload {
  readonly #workers: () => readonly Worker[];
  /** By worker and number of the reload. */
  readonly #questions = new Map<string, Question>();
  #id = 0;
  /** What the last reload was read from; a worker that starts later may have read something else. */
  #texts: SettingsTexts | undefined;

  /** @param workers those that listen now */
  constructor(workers: () => readonly Worker[]) {
    this.#workers = workers;
  }

  /** Gets every worker ready. @throws SettingsError with what any of them has against it; all are as they were then */
  async prepare(texts: SettingsTexts): Promise<Prepared> {
    const id = ++this.#id;
    const workers = this.#workers();
    const tell = (kind: "commit" | "abandon") => {
      for (const worker of workers) worker.send({ kind, id });
    };
    const answers = await Promise.all(workers.map((worker) => this.#prepare(worker, id, texts)));
    const problems = [...new Set(answers.flat())];
    if (problems.length > 0) {
      tell("abandon");
      throw new SettingsError("nothing was changed:", problems);
    }
    return {
      commit: () => {
        this.#texts = texts;
        tell("commit");
      },
      abandon: () => tell("abandon"),
    };
  }

  /** A worker listens: what was reloaded before holds for it, too. Resolves with what it has against that. */
  async joined(worker: Worker): Promise<readonly string[]> {
    if (!this.#texts) return [];
    const id = ++this.#id;
    const problems = await this.#prepare(worker, id, this.#texts);
    worker.send({ kind: problems.length > 0 ? "abandon" : "commit", id });
    return problems;
  }

  answered(worker: number, { id, problems }: Extract<FromWorker, { kind: "prepared" }>): void {
    this.#questions.get(`${worker} ${id}`)?.answer(problems);
  }

  /** It will not answer any more: what it starts with again is another matter. */
  left(worker: number): void {
    for (const question of [...this.#questions.values()]) {
      if (question.worker.number === worker) question.answer([]);
    }
  }

  #prepare(worker: Worker, id: number, texts: SettingsTexts): Promise<readonly string[]> {
    const key = `${worker.number} ${id}`;
    return new Promise((resolve) => {
      const answer = (problems: readonly string[]) => {
        clearTimeout(late);
        this.#questions.delete(key);
        resolve(problems.map((text) => `worker ${worker.number}: ${text}`));
      };
      const late = setTimeout(() => answer([`it is not ready after ${PREPARE_MS / 1_000} s`]), PREPARE_MS);
      this.#questions.set(key, { worker, answer });
      if (!worker.send({ kind: "prepare", id, texts })) answer([]);
    });
  }
}
