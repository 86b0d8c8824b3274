/** A serialised origin as browsers send it (RFC 6454 §6.2): scheme and authority, nothing else. */
const SERIALISED = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@\\,]+$/i;

/** Stands for every origin of this machine. */
const LOOPBACK = "loopback";

/** Whether a request with these `Origin` and `Host` headers may open a connection. */
export type OriginPolicy = (origin: string | null, host: string | null) => boolean;

/**
 * Makes the policy: an origin must be listed (scheme, host and port compared exactly, after URL normalisation) or be
 * of the very host it asks; `*` lists every one. A request without `Origin` comes from no browser and is allowed;
 * `loopback` lists every port of this machine; `null` (sandboxed frames, files) is an origin like any other and allowed only by `*`.
 *
 * Browsers do not keep pages from opening WebSockets elsewhere, so this check is what stands against cross-site
 * WebSocket hijacking; CORS is not asked.
 * @throws TypeError when a listed origin is none
 */
export function originPolicy(allowed: readonly string[]): OriginPolicy {
  if (allowed.includes("*")) return () => true;
  const loopback = allowed.includes(LOOPBACK);
  const listed = new Set(
    allowed.flatMap((origin) => {
      if (origin === LOOPBACK) return [];
      const normal = normalise(origin);
      if (!normal) throw new TypeError(`not an origin: ${JSON.stringify(origin)}`);
      return normal;
    }),
  );
  return (origin, host) => {
    if (origin === null) return true;
    const normal = normalise(origin);
    if (!normal) return false;
    // TLS mostly ends in front of us, so the scheme of our own address is not known: host and port decide.
    if (loopback && isLoopback(new URL(normal).hostname)) return true;
    return listed.has(normal) || (host !== null && normal === normalise(`${schemeOf(normal)}//${host}`));
  };
}

/** Whether a name or address can only be of this machine. */
export function isLoopback(hostname: string): boolean {
  return /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

/** Lower case, default port left out; `undefined` for what is no origin. */
function normalise(origin: string): string | undefined {
  if (!SERIALISED.test(origin) || !URL.canParse(origin)) return undefined;
  const { protocol, host } = new URL(origin);
  // Not URL.origin: it is "null" for the schemes of apps (capacitor://, chrome-extension://).
  return host === "" ? undefined : `${protocol}//${host.toLowerCase()}`;
}

function schemeOf(origin: string): string {
  return origin.slice(0, origin.indexOf(":") + 1);
}
