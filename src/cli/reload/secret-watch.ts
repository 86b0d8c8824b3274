import process from "node:process";
import { secretFiles } from "../../config.ts";
import { stamp } from "../certificate.ts";

/** How often files are looked at, ms: a secret that is replaced is in use within that. */
const LOOK_MS = 5_000;

/**
 * Watches the files of secrets (`…_FILE`), by looks: it works on every file system, and where an orchestrator replaces a
 * folder by a link. Does nothing without such files.
 */
export class SecretWatch {
  readonly #changed: () => void;
  readonly #everyMs: number;
  #seen = look();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param changed called when one is another file, or another text */
  constructor(changed: () => void, everyMs = LOOK_MS) {
    this.#changed = changed;
    this.#everyMs = everyMs;
  }

  start(): void {
    if (this.#seen !== "") this.#timer ??= setInterval(() => this.#look(), this.#everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const now = look();
    if (now === this.#seen) return;
    this.#seen = now;
    this.#changed();
  }
}

function look(): string {
  return [...secretFiles(process.env).values()].map(stamp).join(" ");
}
