import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, extname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MiddlewareHandler } from "hono";
import { CLIENT_LIBRARY, embeddedFiles } from "../core/embedded.ts";

/** A file as it is served. */
interface Asset {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly type: string;
  readonly etag: string;
}

/** Files by URL path; a closed list, so that no path leads anywhere else. */
export type Assets = ReadonlyMap<string, Asset>;

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
};

/** Scripts of this origin only, none inline; sockets to anywhere, so that the page can speak to another region. */
const POLICY = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self' ws: wss:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

/**
 * Reads the pages of a directory (its `index.html` becomes `/`) and the stock client library
 * (`/assets/centrifuge.js`) into memory. A directory that does not exist holds nothing; a production installation has
 * no pages, and no client library for them.
 * @param directory from `src`, such as "console", or absolute
 */
export async function loadAssets(directory: string): Promise<Assets> {
  const assets = new Map<string, Asset>();
  for (const [name, path] of await filesOf(directory)) {
    const type = TYPES[extname(name)];
    if (type) assets.set(name === "index.html" ? "/" : `/${name}`, await load(path, type));
  }
  const library = clientLibrary();
  if (library) assets.set("/assets/centrifuge.js", await load(library, TYPES[".js"]!));
  return assets;
}

/** The files of a directory by their names, where the program runs from its sources or is one file. */
async function filesOf(directory: string): Promise<[name: string, path: string][]> {
  if (embeddedFiles.size > 0) {
    const own = [...embeddedFiles].filter(([path]) => dirname(path) === directory);
    return own.map(([path, readable]) => [basename(path), readable]);
  }
  const folder = isAbsolute(directory)
    ? directory
    : fileURLToPath(new URL(`../${directory}`, import.meta.url).href);
  const names = await readdir(folder).catch((): string[] => []);
  return names.map((name) => [name, join(folder, name)]);
}

/** The file of centrifuge-js for browsers; `undefined` where this optional package is not installed. */
function clientLibrary(): string | undefined {
  const embedded = embeddedFiles.get(CLIENT_LIBRARY);
  if (embedded !== undefined) return embedded;
  try {
    const path = fileURLToPath(new URL("../dist/centrifuge.js", import.meta.resolve("centrifuge")).href);
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

async function load(path: string, type: string): Promise<Asset> {
  const body = new Uint8Array(await readFile(path));
  return { body, type, etag: `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"` };
}

const READS: ReadonlySet<string> = new Set(["GET", "HEAD"]);

/** Answers GET and HEAD of what is in `assets`; passes everything else on. */
export function serveAssets(assets: Assets): MiddlewareHandler {
  return async (c, next) => answerAsset(assets, c.req.raw, c.req.path) ?? next();
}

/** Answers GET and HEAD of what is in `assets`; `undefined` for everything else. */
export function answerAsset(
  assets: Assets,
  { method, headers: asked, url }: Request,
  path = new URL(url).pathname,
): Response | undefined {
  const asset = assets.get(path);
  if (!asset || !READS.has(method)) return undefined;
  const headers = {
    "content-type": asset.type,
    etag: asset.etag,
    "cache-control": "no-cache",
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    // Browsers load a module of another host only when it says so. Nobody is known by cookies here.
    ...(asset.type === TYPES[".js"] && { "access-control-allow-origin": "*" }),
    "referrer-policy": "no-referrer",
  };
  if (asked.get("if-none-match") === asset.etag) return new Response(null, { status: 304, headers });
  return new Response(asset.body, { headers });
}
