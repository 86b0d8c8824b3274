import { CommandError, ConnectionError } from "./errors.ts";

/** Longest text of an error, its longest stack, and how many causes of causes are told. */
const LONGEST_TEXT = 2_000;
const LONGEST_STACK = 4_000;
const MOST_CAUSES = 3;

/**
 * Fields as a line has them: an error becomes a text under the field's own name and, where nobody foresaw it, the `stack`
 * that leads to it; what looks like a secret in a text is left out.
 */
export function factsOf(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const facts: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value instanceof Error) {
      facts[key] = textOf(value);
      const stack = stackOf(value);
      if (stack !== undefined) facts.stack = stack;
    } else if (value !== undefined) facts[key] = typeof value === "string" ? withoutSecrets(value) : value;
  }
  return facts;
}

/** Name and message of an error, and of what caused it. Own members are not told: clients of others keep what was sent there. */
function textOf(error: Error): string {
  const texts = [`${error.name}: ${error.message}`];
  let { cause } = error;
  while (cause instanceof Error && texts.length <= MOST_CAUSES) {
    texts.push(`${cause.name}: ${cause.message}`);
    cause = cause.cause;
  }
  return withoutSecrets(texts.join("; because of ").slice(0, LONGEST_TEXT));
}

/** Where it was thrown; a refusal of ours says all with its text. */
function stackOf(error: Error): string | undefined {
  if (error instanceof CommandError || error instanceof ConnectionError) return undefined;
  const { stack } = error;
  if (typeof stack !== "string") return undefined;
  const lines = stack.split("\n").filter((line) => /^\s+at /.test(line));
  return lines.length === 0
    ? undefined
    : withoutSecrets(
        lines
          .map((line) => line.trim())
          .join("\n")
          .slice(0, LONGEST_STACK),
      );
}

/** Login in a URL, JSON Web Tokens, and what stands after the name of a secret. */
const SECRETS: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\/\/[^\s/@]{1,500}@/g, "//…@"],
  [/\beyJ[\w-]{5,}\.[\w-]*\.?[\w-]*/g, "eyJ…"],
  [
    /\b(password|passwd|secret|token|api[-_]?key|access[-_]?key)(=|["']\s?:\s?["']?)[^\s"'&,;}]{1,4000}/gi,
    "$1$2…",
  ],
  [/\b(authorization["']?\s?[:=]\s?["']?)(?:(?:bearer|basic|apikey)\s)?[^\s"',;}]{1,4000}/gi, "$1…"],
];

/** A text of somebody else, such as a library's error, without what looks like a secret in it. */
function withoutSecrets(text: string): string {
  return SECRETS.reduce((rest, [pattern, instead]) => rest.replace(pattern, instead), text);
}
