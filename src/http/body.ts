import { Buffer } from "node:buffer";
import { strictUtf8Decoder } from "../core/text.ts";

/** The text of a request's body, or the status that refuses it: as {@link bodyBytes}, and 400 for what is not UTF-8. */
export async function bodyText(request: Request, maxBytes: number): Promise<string | 400 | 413> {
  const bytes = await bodyBytes(request, maxBytes);
  return typeof bytes === "number" ? bytes : textOf(bytes);
}

/** The bytes as text, or 400 when they are not UTF-8. */
export function textOf(bytes: Uint8Array): string | 400 {
  try {
    // Some editors and shells put a byte order mark in front of a document. It is no part of it.
    return strictUtf8Decoder.decode(bytes).replace(/^\uFEFF/, "");
  } catch {
    return 400;
  }
}

/**
 * A request's body, or the status that refuses it: 413 for more than `maxBytes`, 400 for what broke off. Never rejects:
 * what a client leaves unfinished is its own affair.
 */
export async function bodyBytes(request: Request, maxBytes: number): Promise<Uint8Array | 400 | 413> {
  const length = request.headers.get("content-length");
  if (Number(length) > maxBytes) return 413;
  try {
    if (length !== null) return new Uint8Array(await request.arrayBuffer());
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of request.body ?? []) {
      bytes += chunk.length;
      if (bytes > maxBytes) return 413;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch {
    return 400; // each runtime throws something of its own
  }
}
