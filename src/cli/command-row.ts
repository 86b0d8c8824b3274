/** One command: its files are loaded when it runs, not before. */
export interface CommandRow {
  /** Its name, and what it takes beside flags as commander writes it (`token [token]`). */
  readonly name: string;
  readonly summary: string;
  /** Flags as commander writes them, with their descriptions. */
  readonly flags: readonly (readonly [flags: string, description: string])[];
  readonly run: (options: Record<string, unknown>, args: readonly string[]) => Promise<void>;
}
