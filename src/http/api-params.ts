import type { z } from "zod";
import { rawMember } from "../core/json-text.ts";
import { JsonText } from "../core/json-value.ts";

/** Parameters that are JSON for somebody else: they stay the text they are. */
const TEXTS: ReadonlySet<string> = new Set(["data", "info"]);

/** SDKs send null for what is not given; only `data` may be null and mean it. @param text valid JSON */
export function readParams(text: string): unknown {
  const params: unknown = JSON.parse(text);
  if (typeof params !== "object" || params === null || Array.isArray(params)) return params;
  return Object.fromEntries(
    Object.entries(params)
      .filter(([key, value]) => value !== null || key === "data")
      .map(([key, value]) => [key, TEXTS.has(key) ? new JsonText(rawMember(text, key)!) : value]),
  );
}

/** Mistakes named at once, and characters they may take: their number and the names are the caller's choice. */
const MAX_ISSUES = 5;
const MAX_EXPLANATION = 500;

/** What is wrong, by parameter; never the values, which may be anything. */
export function explain(error: z.ZodError): string {
  return error.issues
    .slice(0, MAX_ISSUES)
    .map((issue) => (issue.path.length > 0 ? `${issue.path.join(".")}: ${issue.message}` : issue.message))
    .join("; ")
    .slice(0, MAX_EXPLANATION);
}
