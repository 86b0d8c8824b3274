import { until } from "../helpers/until.ts";
import type { Prepared } from "./toolchains.ts";

/** An event that a program tells of: whose, what, and whatever belongs to it. */
export interface Told extends Readonly<Record<string, unknown>> {
  readonly client?: string;
  readonly event: string;
}

interface Waiting {
  resolve(result: Record<string, unknown>): void;
  reject(error: Error): void;
}

const ANSWER_MS = 30_000;

/** A program that runs a stock SDK in its own language, told by JSON lines what to do. */
export class Program implements AsyncDisposable {
  /** Everything it has told, in order. */
  readonly told: Told[] = [];
  readonly #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #errors = "";

  constructor({ command, env }: Extract<Prepared, { command: readonly string[] }>) {
    this.#child = Bun.spawn([...command], {
      env: { ...process.env, ...env },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    void this.#read();
    void this.#readErrors();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.#child.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(line);
    }
    for (const { reject } of this.#waiting.values()) reject(new Error(`the program ended: ${this.#errors}`));
  }

  async #readErrors(): Promise<void> {
    this.#errors = (await new Response(this.#child.stderr).text()).slice(-4_000);
  }

  #take(line: string): void {
    if (!line.startsWith("{")) return; // SDKs print, too
    const { id, result, error, ...told } = JSON.parse(line) as Record<string, unknown>;
    if (id === undefined || told.event !== undefined) {
      this.told.push({ id, ...told } as unknown as Told);
      return;
    }
    const waiting = this.#waiting.get(id as number);
    this.#waiting.delete(id as number);
    const { code, message } = (error ?? {}) as { code?: number; message?: string };
    if (error) waiting?.reject(Object.assign(new Error(message), { code }));
    else waiting?.resolve((result ?? {}) as Record<string, unknown>);
  }

  /** Has it do something. @throws an Error if the SDK says that it failed, with the server's number as `code` (0: the SDK gives none) */
  async do<T = Record<string, unknown>>(what: string, ask: object = {}): Promise<T> {
    const id = this.#next++;
    const answer = new Promise<Record<string, unknown>>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    this.#child.stdin.write(`${JSON.stringify({ id, do: what, ...ask })}\n`);
    this.#child.stdin.flush();
    const timer = setTimeout(() => {
      this.#waiting.get(id)?.reject(new Error(`no answer to ${what}: ${this.#errors}`));
    }, ANSWER_MS);
    return (await answer.finally(() => clearTimeout(timer))) as T;
  }

  /** What was told that has these members. */
  all(like: Readonly<Record<string, unknown>>): Told[] {
    return this.told.filter((one) => Object.entries(like).every(([name, value]) => one[name] === value));
  }

  /** Waits until so many of a kind were told; gives them. */
  async hears(like: Readonly<Record<string, unknown>>, count = 1, timeoutMs = 15_000): Promise<Told[]> {
    await until(() => this.all(like).length >= count, {
      timeoutMs,
      what: `${count} times ${JSON.stringify(like)}`,
    }).catch((error: Error) => {
      throw new Error(`${error.message}; last told: ${JSON.stringify(this.told.slice(-8))}`);
    });
    return this.all(like);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}
