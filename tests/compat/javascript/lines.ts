import { createInterface } from "node:readline";

/** A command of the runner of the compatibility tests. */
// biome-ignore lint/suspicious/noExplicitAny: members differ by command, and each program knows its own
export type Ask = Readonly<Record<string, any>> & { readonly id: number; readonly do: string };

/** Writes one line. */
export function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Carries out commands, all at once, until the input ends. */
export function serve(act: (ask: Ask) => unknown): void {
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const ask = JSON.parse(line) as Ask;
    try {
      say({ id: ask.id, result: (await act(ask)) ?? {} });
    } catch (error) {
      const { code = 0, message = String(error) } = error as { code?: number; message?: string };
      say({ id: ask.id, error: { code: typeof code === "number" ? code : 0, message } });
    }
  });
}
