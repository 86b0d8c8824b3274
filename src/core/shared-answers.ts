/** What is asked under one key: what goes on now, and who shares the next. */
interface Asked<T> {
  readonly done: Promise<unknown>;
  next: Promise<T> | undefined;
}

/**
 * One question under way for each key. Who asks while it is shares the next one with everybody who does so: their answer
 * was begun after they asked, and of any number of them only two are ever made.
 */
export class SharedAnswers<T> {
  readonly #asked = new Map<string, Asked<T>>();

  /** Keys with a question under way. */
  get size(): number {
    return this.#asked.size;
  }

  /** @param work makes the answer; a failure fails all who share it. @returns the answer, and whether it is shared */
  ask(key: string, work: () => Promise<T>): Promise<T> {
    const asked = this.#asked.get(key);
    if (!asked) return this.#begin(key, work);
    asked.next ??= asked.done.then(() => this.#begin(key, work));
    return asked.next;
  }

  #begin(key: string, work: () => Promise<T>): Promise<T> {
    const answer = work();
    const asked: Asked<T> = {
      done: answer.catch(() => {}).then(() => this.#ended(key, asked)),
      next: undefined,
    };
    this.#asked.set(key, asked);
    return answer;
  }

  #ended(key: string, asked: Asked<T>): void {
    // With a next one, that takes the place in the same turn.
    if (this.#asked.get(key) === asked && !asked.next) this.#asked.delete(key);
  }
}
