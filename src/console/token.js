/** This instance gives no tokens over the web: one must be pasted. */
export class NoDevTokens extends Error {}

/**
 * A connection token for `user` from an instance in development.
 * @returns `{token, region, instance, nats, apiKey}`: beside the token, what the page shows of the instance
 * @throws NoDevTokens in production
 */
export async function devToken(user) {
  const response = await fetch(`/dev/token?user=${encodeURIComponent(user)}`, { cache: "no-store" });
  if (response.status === 404) throw new NoDevTokens();
  if (!response.ok) throw new Error(`no token: the instance answered ${response.status}`);
  return await response.json();
}

/** Whom a pasted token is for; undefined when it is no token. */
export function userOf(token) {
  try {
    const [, claims] = token.split(".");
    const bytes = Uint8Array.from(atob(claims.replaceAll("-", "+").replaceAll("_", "/")), (c) =>
      c.charCodeAt(0),
    );
    const { sub } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof sub === "string" ? sub : "";
  } catch {
    return undefined;
  }
}
