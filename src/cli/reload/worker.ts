import { unreachable } from "../../core/unreachable.ts";
import type { ReloadOutcome } from "../../http/admin.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import { type PreparedReload, problemsOf, type Reloader } from "./reloader.ts";

/** The reloads of a worker: its supervisor reads the settings, and has all workers take them over, or none. */
export class WorkerReloads {
  readonly #reloader: Pick<Reloader, "prepare">;
  readonly #send: (message: FromWorker) => void;
  readonly #asked = new Map<number, (outcome: ReloadOutcome) => void>();
  #prepared: { readonly id: number; readonly reload: PreparedReload } | undefined;
  #lastAsked = 0;

  constructor(reloader: Pick<Reloader, "prepare">, send: (message: FromWorker) => void) {
    this.#reloader = reloader;
    this.#send = send;
  }

  /** Asks the supervisor for a reload of all workers. */
  ask(): Promise<ReloadOutcome> {
    const id = ++this.#lastAsked;
    return new Promise((resolve) => {
      this.#asked.set(id, resolve);
      this.#send({ kind: "reload", id });
    });
  }

  /** What the supervisor says. Never rejects. */
  async told(message: Exclude<ToWorker, { kind: "read" | "scraped" }>): Promise<void> {
    switch (message.kind) {
      case "prepare":
        return await this.#prepare(message);
      case "commit":
      case "abandon": {
        const prepared = this.#prepared;
        if (prepared?.id !== message.id) return;
        this.#prepared = undefined;
        return prepared.reload[message.kind]();
      }
      case "reloaded":
        this.#asked.get(message.id)?.(message.outcome);
        this.#asked.delete(message.id);
        return;
      case "leave":
        return;
      default:
        unreachable(message);
    }
  }

  async #prepare({ id, texts }: Extract<ToWorker, { kind: "prepare" }>): Promise<void> {
    this.#prepared?.reload.abandon();
    this.#prepared = undefined;
    try {
      this.#prepared = { id, reload: await this.#reloader.prepare(texts) };
      this.#send({ kind: "prepared", id, problems: [] });
    } catch (error) {
      this.#send({ kind: "prepared", id, problems: problemsOf(error) });
    }
  }
}
