import type { Command, RedisLink, Reply } from "./link.ts";

interface Sending {
  readonly commands: readonly Command[];
  readonly timeoutMs: number;
  readonly resolve: (replies: Reply[]) => void;
  readonly reject: (error: unknown) => void;
}

/** One node of a cluster. What is sent to it within one turn of the event loop goes out as one pipeline. */
export class ClusterNode {
  readonly #link: RedisLink;
  #waiting: Sending[] = [];
  #flying = 0;
  #suspect = false;

  constructor(link: RedisLink) {
    this.#link = link;
  }

  /** Whether the last pipeline has failed, or was too late for somebody. */
  get isSuspect(): boolean {
    return this.#suspect;
  }

  suspect(): void {
    this.#suspect = true;
  }

  get busy(): boolean {
    return this.#flying > 0 || this.#waiting.length > 0;
  }

  send(commands: readonly Command[], timeoutMs: number): Promise<Reply[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ commands, timeoutMs, resolve, reject });
      if (this.#waiting.length === 1) setImmediate(() => this.#flush());
    });
  }

  /** Sends at once, as a pipeline of its own. */
  alone(commands: readonly Command[], timeoutMs: number): Promise<Reply[]> {
    return this.#link.send(commands, timeoutMs);
  }

  /** Drops the connection when it may be half dead: other parts of presence use it too. */
  reset(): void {
    if (!this.#suspect) return;
    this.#suspect = false;
    this.#link.reset();
  }

  close(): void {
    this.#link.close();
  }

  async #flush(): Promise<void> {
    const all = this.#waiting;
    this.#waiting = [];
    this.#flying++;
    try {
      const timeoutMs = Math.max(...all.map((sending) => sending.timeoutMs));
      const replies = await this.#link.send(
        all.flatMap(({ commands }) => commands),
        timeoutMs,
      );
      this.#suspect = false;
      let at = 0;
      for (const { commands, resolve } of all) {
        resolve(replies.slice(at, at + commands.length));
        at += commands.length;
      }
    } catch (error) {
      this.#suspect = true;
      for (const { reject } of all) reject(error);
    } finally {
      this.#flying--;
    }
  }
}
