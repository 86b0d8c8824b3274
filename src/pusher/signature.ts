import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/**
 * The signatures of the Pusher protocol: HMAC-SHA256 in hex, with the secret of an application's key. (Pusher Channels
 * documentation, "Authentication signatures" and "HTTP API: generating authentication signatures".)
 */

/** The signature of a text. */
export function sign(secret: string, text: string | Uint8Array): string {
  return createHmac("sha256", secret).update(text).digest("hex");
}

/** Whether a signature is that of a text; in a time that tells nothing about how near it is. */
export function verify(secret: string, text: string | Uint8Array, signature: string): boolean {
  if (!/^[0-9a-f]{64}$/.test(signature)) return false;
  const own = createHmac("sha256", secret).update(text).digest();
  return timingSafeEqual(own, Buffer.from(signature, "hex"));
}

/** What is signed to let a socket into a private channel; with `channelData`, exactly as sent, into a presence channel. */
export function channelText(socketId: string, channel: string, channelData?: string): string {
  return channelData === undefined ? `${socketId}:${channel}` : `${socketId}:${channel}:${channelData}`;
}

/** What is signed to sign a user in; `userData` exactly as sent. */
export function signinText(socketId: string, userData: string): string {
  return `${socketId}::user::${userData}`;
}

/**
 * What is signed of a request of the HTTP API.
 * @param path as requested, any prefix included, without the query
 * @param query its parameters; `auth_signature` is left out, several values of one name are joined by commas
 */
export function requestText(method: string, path: string, query: URLSearchParams): string {
  const values = new Map<string, string[]>();
  for (const [name, value] of query) {
    const key = name.toLowerCase();
    if (key === "auth_signature") continue;
    const known = values.get(key);
    if (known) known.push(value);
    else values.set(key, [value]);
  }
  const pairs = [...values]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, all]) => `${key}=${all.join(",")}`);
  return `${method.toUpperCase()}\n${path}\n${pairs.join("&")}`;
}

/** The `body_md5` of a request's body. */
export function bodyMd5(body: string | Uint8Array): string {
  return createHash("md5").update(body).digest("hex");
}

/** Takes `<key>:<signature>` apart, as clients send it; `undefined` when it is not so. */
export function splitAuth(auth: string): { readonly key: string; readonly signature: string } | undefined {
  const colon = auth.indexOf(":");
  return colon <= 0 ? undefined : { key: auth.slice(0, colon), signature: auth.slice(colon + 1) };
}
