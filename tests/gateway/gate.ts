type Method<Port> = Extract<keyof Port, string>;
type AnswerOf<M> = M extends (...args: never[]) => infer R ? Awaited<R> : never;
type Call = readonly unknown[];

interface Held {
  /** Lets the call go on, or its answer out. */
  readonly letGo: () => void;
}

/**
 * A port with a gate before each of its methods, so that a test decides when and in what order calls are answered, and
 * which of them fail. Without instructions everything passes at once.
 */
export class Gate<Port extends object> {
  /** To be handed to what is tested. */
  readonly port: Port;
  readonly #calls = new Map<string, Call[]>();
  readonly #holds = new Map<string, "call" | "answer">();
  readonly #held = new Map<string, Held[]>();
  readonly #failures = new Map<string, { readonly error: Error; after: number }>();
  readonly #changes = new Map<string, (answer: unknown) => unknown>();
  readonly #delays = new Map<string, () => Promise<void>>();
  #underWay = 0;
  readonly #wrappers = new Map<PropertyKey, unknown>();

  constructor(inner: Port) {
    this.port = new Proxy(inner, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== "function" || typeof name !== "string") return member;
        if (!this.#wrappers.has(name)) this.#wrappers.set(name, this.#wrap(name, member.bind(target)));
        return this.#wrappers.get(name);
      },
    });
  }

  /**
   * From now on calls wait for {@link release}.
   * @param what `answer`: they are carried out at once, and answered later; `call`: they are carried out later, too
   */
  hold(method: Method<Port>, what: "call" | "answer" = "answer"): void {
    this.#holds.set(method, what);
  }

  /** How many calls wait. */
  waiting(method: Method<Port>): number {
    return this.#held.get(method)?.length ?? 0;
  }

  /** Lets one of the waiting calls through, the oldest being 0. */
  release(method: Method<Port>, at = 0): void {
    const [held] = this.#held.get(method)?.splice(at, 1) ?? [];
    if (!held) throw new Error(`no call of ${method} waits at ${at}`);
    held.letGo();
  }

  /** Lets all waiting calls through, oldest first, and holds no further ones. Idempotent. */
  open(method: Method<Port>): void {
    this.#holds.delete(method);
    for (const { letGo } of this.#held.get(method)?.splice(0) ?? []) letGo();
  }

  /** From now on calls are carried out after one delay, and answered after another. */
  delay(methods: readonly Method<Port>[], pause: () => Promise<void>): void {
    for (const method of methods) this.#delays.set(method, pause);
  }

  /** How many calls that are delayed have no answer yet. */
  get underWay(): number {
    return this.#underWay;
  }

  /** From now on calls reject, but for the next `after` ones. */
  fail(method: Method<Port>, error: Error, after = 0): void {
    this.#failures.set(method, { error, after });
  }

  /** From now on calls are answered with what this makes of their answers. */
  change<M extends Method<Port>>(method: M, change: (answer: AnswerOf<Port[M]>) => AnswerOf<Port[M]>): void {
    this.#changes.set(method, change as (answer: unknown) => unknown);
  }

  /** Ends {@link fail}. */
  heal(method: Method<Port>): void {
    this.#failures.delete(method);
  }

  /** Arguments of every call so far. */
  calls(method: Method<Port>): readonly Call[] {
    return this.#calls.get(method) ?? [];
  }

  /** Opens everything, for the end. */
  openAll(): void {
    this.#failures.clear();
    for (const method of [...this.#held.keys(), ...this.#holds.keys()]) this.open(method as Method<Port>);
  }

  async #delayed(pause: () => Promise<void>, call: () => unknown): Promise<unknown> {
    this.#underWay++;
    try {
      await pause();
      const answer = await call();
      await pause();
      return answer;
    } finally {
      this.#underWay--;
    }
  }

  #wrap(name: string, method: (...args: unknown[]) => unknown) {
    return (...args: unknown[]): unknown => {
      listIn(this.#calls, name).push(args);
      const failure = this.#failures.get(name);
      if (failure && failure.after-- <= 0) return Promise.reject(failure.error);
      const pause = this.#delays.get(name);
      if (pause) return this.#delayed(pause, () => method(...args));
      const hold = this.#holds.get(name);
      const change = this.#changes.get(name);
      if (change) return Promise.resolve(method(...args)).then(change);
      if (!hold) return method(...args);
      const answer = hold === "answer" ? method(...args) : undefined;
      if (answer instanceof Promise) answer.catch(() => {}); // it is looked at when it is let out
      return new Promise((resolve) => {
        const letGo = () => resolve(hold === "answer" ? answer : method(...args));
        listIn(this.#held, name).push({ letGo });
      });
    };
  }
}

function listIn<T>(lists: Map<string, T[]>, name: string): T[] {
  const list = lists.get(name) ?? [];
  lists.set(name, list);
  return list;
}
