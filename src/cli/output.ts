import process from "node:process";

/** What a person did wrong, with what to type next: printed as it is, without a stack, and the exit code is 1. */
export class UserError extends Error {
  override readonly name = "UserError";
}

/** Escape sequences of ECMA-48; only for terminals that want them (https://no-color.org). */
const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

/** Colours `text` when the stream it is for is a terminal. */
export function paint(
  style: keyof typeof STYLES,
  text: string,
  stream: { readonly isTTY?: boolean } = process.stdout,
): string {
  return stream.isTTY && !process.env.NO_COLOR ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text;
}

/** Rows as aligned columns, two spaces between them; the last column is never padded. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  }
  return rows
    .map((row) =>
      row.map((cell, index) => (index < row.length - 1 ? cell.padEnd(widths[index]!) : cell)).join("  "),
    )
    .join("\n");
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printError(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Programs that go on when nobody reads what they print: an instance serves its clients all the same. */
const LIVES_ON: ReadonlySet<string> = new Set(["serve", "dev"]);

/**
 * What becomes of a command whose reader has gone (`| head`): it ends, without a word; an instance goes on.
 * @param command its name
 */
export function mindReader(command: string | undefined): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      if (command === undefined || !LIVES_ON.has(command)) process.exit();
    });
  }
}
