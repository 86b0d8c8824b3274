import { parseEnv } from "node:util";
import type { Draft } from "./draft.ts";

/** Variables of an environment file, each looked at once. */
export class Variables {
  readonly #values: ReadonlyMap<string, string>;
  readonly #left: Set<string>;

  /** @param text a file of lines NAME=value, as shells and dotenv read them; `${NAME}` stands for another one */
  constructor(text: string) {
    const raw = new Map(Object.entries(parseEnv(text) as Record<string, string>));
    this.#values = new Map([...raw].map(([name, value]) => [name, expanded(value, raw)]));
    this.#left = new Set(this.#values.keys());
  }

  /** `undefined` when it is not set, or empty. */
  take(name: string): string | undefined {
    this.#left.delete(name);
    return this.#values.get(name) || undefined;
  }

  /** Names of those that nothing has taken. */
  left(): string[] {
    return [...this.#left];
  }

  get names(): string[] {
    return [...this.#values.keys()];
  }
}

/** One level deep, as far as needed: names of others in the place of hosts and keys. */
function expanded(value: string, all: ReadonlyMap<string, string>): string {
  return value.replace(/\$\{([A-Za-z_]\w*)\}/g, (whole, name: string) => all.get(name) ?? whole);
}

/** Says of each variable that was looked at, and has no line, that it is part of another's. */
export function sayRest(draft: Draft, names: readonly string[]): void {
  const said = new Set(draft.lines.map(({ name }) => name));
  for (const name of names)
    if (!said.has(name)) draft.maps(name, undefined, "part of what a line above says");
}

export const isTrue = (text: string | undefined) => /^(1|true|yes|on)$/i.test(text ?? "");
