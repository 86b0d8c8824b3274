import { Buffer } from "node:buffer";
import { strictUtf8Decoder } from "../core/text.ts";

/** How long a body may take, ms: a byte now and then would keep a connection busy for ever. */
const BODY_MS = 20_000;

/** Statuses that refuse a body. */
export type BodyRefusal = 400 | 408 | 413;

/** The text of a request's body, or the status that refuses it: as {@link bodyBytes}, and 400 for what is not UTF-8. */
export async function bodyText(request: Request, maxBytes: number): Promise<string | BodyRefusal> {
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
 * A request's body, or the status that refuses it: 413 for more than `maxBytes`, 400 for what broke off, 408 for what took
 * longer than `withinMs`. Never rejects: what a client leaves unfinished is its own affair.
 */
export async function bodyBytes(
  request: Request,
  maxBytes: number,
  withinMs = BODY_MS,
): Promise<Uint8Array | BodyRefusal> {
  const length = request.headers.get("content-length");
  if (Number(length) > maxBytes) return 413;
  if (length === "0") return new Uint8Array();
  const { promise, resolve } = Promise.withResolvers<408>();
  const timer = setTimeout(resolve, withinMs, 408);
  try {
    return await Promise.race([wholeBody(request, length !== null, maxBytes), promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function wholeBody(
  request: Request,
  known: boolean,
  maxBytes: number,
): Promise<Uint8Array | BodyRefusal> {
  try {
    if (known) return new Uint8Array(await request.arrayBuffer());
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
