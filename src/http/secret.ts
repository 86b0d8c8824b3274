import { createHash, timingSafeEqual } from "node:crypto";

/**
 * Makes the test whether a secret is one of several, in a time that tells nothing about them. Several, so that keys
 * can be rotated.
 */
export function secretCheck(secrets: readonly string[]): (offered: string | undefined) => boolean {
  const digests = secrets.map(digest);
  return (offered) => {
    if (offered === undefined) return false;
    const own = digest(offered);
    let found = false;
    // All are compared, found or not.
    for (const known of digests) found = timingSafeEqual(known, own) || found;
    return found;
  };
}

/** The credentials of an Authorization header with this scheme (RFC 9110 §11.4: case-insensitive). */
export function credentials(header: string | undefined, scheme: string): string | undefined {
  const [, own, rest] = /^(\S+) +(\S+)$/.exec(header ?? "") ?? [];
  return own?.toLowerCase() === scheme ? rest : undefined;
}

function digest(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}
