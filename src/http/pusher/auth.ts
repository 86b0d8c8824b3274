import { Buffer } from "node:buffer";
import type { PusherApp, PusherApps } from "../../pusher/apps.ts";
import { bodyMd5, requestText, verify } from "../../pusher/signature.ts";

/** Why a request is refused: a status, and words for whoever wrote it. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 404 | 408 | 413 | 429 | 503;
  readonly reason: string;
}

/** How far the clock of who signs may be from ours, seconds. */
const CLOCK_SECONDS = 600;

const UNSIGNED = refusal(401, "the signature is wrong: check the app's secret, and what is signed");

/**
 * Whose request it is, by its signature (Pusher Channels documentation, "HTTP API: authentication"). The body is not
 * looked at: {@link bodyRefusal} is to follow.
 */
export function signer(apps: PusherApps, id: string, request: Request): PusherApp | Refusal {
  const app = apps.byId(id);
  if (!app) return refusal(404, "there is no such app");
  const { pathname, searchParams } = new URL(request.url);
  const given = parameters(searchParams);
  if (given.get("auth_version") !== "1.0") return refusal(401, "auth_version must be 1.0");
  const problem = clockProblem(given.get("auth_timestamp"));
  if (problem) return refusal(401, problem);
  const secret = apps.secretOf(app, given.get("auth_key") ?? "");
  if (secret === undefined) return refusal(401, "auth_key is no key of this app");
  const signature = given.get("auth_signature") ?? "";
  const signed = pathsOf(pathname).some((path) =>
    verify(secret, requestText(request.method, path, searchParams), signature),
  );
  if (!signed) return UNSIGNED;
  return app.enabled ? app : refusal(403, "this app is disabled");
}

/** Why the body is not the signed one, if it is not. */
export function bodyRefusal(request: Request, body: Uint8Array): Refusal | undefined {
  const md5 = parameters(new URL(request.url).searchParams).get("body_md5");
  if (md5 === undefined && body.length === 0) return undefined;
  if (md5 === undefined) return refusal(401, "body_md5 is missing");
  return md5.toLowerCase() === bodyMd5(body) ? undefined : refusal(401, "body_md5 is not that of the body");
}

export function refusal(status: Refusal["status"], reason: string): Refusal {
  return { status, reason };
}

export function isRefusal(value: object): value is Refusal {
  return "reason" in value;
}

/** Parameters by their names in lower case; of several with one name, all, as they are signed. */
function parameters(query: URLSearchParams): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of query) {
    const key = name.toLowerCase();
    const known = found.get(key);
    found.set(key, known === undefined ? value : `${known},${value}`);
  }
  return found;
}

function clockProblem(timestamp: string | undefined): string | undefined {
  if (timestamp === undefined || !/^\d{1,12}$/.test(timestamp)) return "auth_timestamp must be Unix seconds";
  const apart = Math.abs(Date.now() / 1000 - Number(timestamp));
  return apart > CLOCK_SECONDS
    ? `auth_timestamp is ${Math.round(apart)} s away from this server's clock; ${CLOCK_SECONDS} s are allowed`
    : undefined;
}

/** The path as it came, and as it was before the client library escaped it: SDKs sign the one or the other. */
function pathsOf(path: string): readonly string[] {
  try {
    const plain = decodeURIComponent(path);
    return plain === path ? [path] : [path, plain];
  } catch {
    return [path];
  }
}

/** How long a text is, in bytes. */
export function bytesOf(text: string): number {
  return Buffer.byteLength(text);
}
