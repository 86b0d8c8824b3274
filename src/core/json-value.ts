/** JSON text that stands among plain values, and leaves with them as the text it is: see {@link writeJson}. */
export class JsonText {
  readonly text: string;

  /** @param text valid JSON */
  constructor(text: string) {
    this.text = text;
  }
}

/** An event as JSON: of most events every member is plain, and the engine's own writer is faster. */
export function eventText(event: Readonly<Record<string, unknown>>): string {
  return event.data instanceof JsonText ? writeJson(event) : JSON.stringify(event);
}

/** As JSON.stringify of plain values, with every {@link JsonText} spliced as it was written. */
export function writeJson(value: unknown): string {
  if (value instanceof JsonText) return value.text;
  if (Array.isArray(value)) return `[${value.map(writeJson).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members: string[] = [];
  for (const [name, member] of Object.entries(value)) {
    if (member !== undefined) members.push(`${JSON.stringify(name)}:${writeJson(member)}`);
  }
  return `{${members.join()}}`;
}
