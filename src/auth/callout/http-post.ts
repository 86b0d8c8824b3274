import { strictUtf8Decoder } from "../../core/text.ts";
import { CalloutFailure } from "./outcomes.ts";

export interface Post {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** From the first byte sent to the last one read. */
  readonly timeoutMs: number;
  /** Longest answer. */
  readonly answerBytes: number;
}

/**
 * Sends one POST. Redirects are not followed: their target is not in the configuration.
 * @returns the answer; its text only when the status is 2xx
 * @throws CalloutFailure: no answer, or one that is too long or no text
 */
export async function post(
  url: string,
  { headers, body, timeoutMs, answerBytes }: Post,
): Promise<{ status: number; text: string }> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
    if (!response.ok) {
      await response.body?.cancel();
      return { status: response.status, text: "" };
    }
    return { status: response.status, text: await readText(response, answerBytes) };
  } catch (error) {
    if (error instanceof CalloutFailure) throw error;
    const { name, code } = error as { name?: string; code?: string };
    if (name === "TimeoutError") throw new CalloutFailure("timeout", `no answer within ${timeoutMs} ms`);
    // Not the message: a runtime may quote the address in it.
    throw new CalloutFailure("unreachable", `no connection (${code ?? name ?? "unknown"})`);
  }
}

/** @throws CalloutFailure */
async function readText(response: Response, mostBytes: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  if (response.body) {
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes += value.length;
      if (bytes > mostBytes) {
        await reader.cancel();
        throw new CalloutFailure("too_long", `an answer is longer than ${mostBytes} bytes`);
      }
      parts.push(value);
    }
  }
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  try {
    return strictUtf8Decoder.decode(all);
  } catch {
    throw new CalloutFailure("malformed", "reply is not UTF-8");
  }
}
