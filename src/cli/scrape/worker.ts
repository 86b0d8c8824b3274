import type { Metrics } from "../../http/metrics-page.ts";
import type { FromWorker, ToWorker } from "../reload/messages.ts";
import { mergePages } from "./merge.ts";

/** How long the supervisor may take, ms: longer than it waits for the others. */
const SCRAPE_MS = 5_000;

/** The metrics of a worker: whoever asks it gets those of all workers, and the supervisor gets its own. */
export class WorkerMetrics {
  readonly #worker: number;
  readonly #send: (message: FromWorker) => void;
  readonly #asked = new Map<number, (text: string) => void>();
  #own: Metrics | undefined;
  #lastAsked = 0;

  /** @param worker its number */
  constructor(worker: number, send: (message: FromWorker) => void) {
    this.#worker = worker;
    this.#send = send;
  }

  /** What is answered in place of the worker's own page. */
  ofAll(own: Metrics): Metrics {
    this.#own = own;
    return { contentType: own.contentType, text: () => this.#ask(own) };
  }

  /** What the supervisor says. Never rejects. */
  async told(message: Extract<ToWorker, { kind: "read" | "scraped" }>): Promise<void> {
    if (message.kind === "scraped") this.#asked.get(message.id)?.(message.text);
    else this.#send({ kind: "page", id: message.id, text: (await this.#own?.text()) ?? "" });
  }

  /** A supervisor that does not answer leaves the worker's own figures: better than none. */
  #ask(own: Metrics): Promise<string> {
    const id = ++this.#lastAsked;
    return new Promise((resolve) => {
      const answer = (text: string | Promise<string>) => {
        clearTimeout(late);
        this.#asked.delete(id);
        resolve(text);
      };
      const late = setTimeout(
        () => answer(own.text().then((text) => mergePages(new Map([[this.#worker, text]])))),
        SCRAPE_MS,
      );
      this.#asked.set(id, answer);
      this.#send({ kind: "scrape", id });
    });
  }
}
