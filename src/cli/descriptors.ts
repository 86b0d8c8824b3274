import { descriptorReserve } from "../gateway/instance/admission.ts";
import type { Runtime } from "../runtime/runtime.ts";

/** How often open descriptors are counted, ms. */
const LOOK_MS = 1_000;

/** Counts the descriptors of the process: at their limit the runtime breaks, so plain HTTP makes room before. */
export class Descriptors {
  readonly #runtime: Pick<Runtime, "descriptorLimit" | "openDescriptors">;
  readonly #limit: number;
  #open = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(runtime: Pick<Runtime, "descriptorLimit" | "openDescriptors">) {
    this.#runtime = runtime;
    this.#limit = runtime.descriptorLimit() ?? Number.POSITIVE_INFINITY;
  }

  /** How many are kept back from connections of clients. */
  get reserve(): number {
    return descriptorReserve(this.#limit);
  }

  /** Whether half of the reserve is used. */
  get tight(): boolean {
    return this.#open > this.#limit - this.reserve / 2;
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      this.#open = this.#runtime.openDescriptors() ?? 0;
    }, LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
