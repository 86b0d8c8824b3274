import { errors, type JWTPayload } from "jose";

/** What an issuer's tokens must say, and when it is. */
export interface Expected {
  /** `iss`, when given. */
  readonly issuer?: string;
  /** `aud`, or one of it, when given. */
  readonly audience?: string;
  /** How far the issuer's clock may differ from ours, seconds. */
  readonly clockTolerance: number;
  readonly currentDate: Date;
}

/**
 * Checks `iss`, `aud`, `nbf`, `exp` and the type of `iat` (RFC 7519 §4.1) of a token whose signature was checked, as
 * jose does for keys of a pair: the same verdicts in the same words. jose itself checks claims only along with a
 * signature, or in a token without one, which had to be put together and taken apart first: half the time of a token.
 * @throws JOSEError
 */
export function checkRegistered(claims: JWTPayload, expected: Expected): void {
  const { issuer, audience, clockTolerance, currentDate } = expected;
  if (issuer !== undefined) mustHave(claims, "iss");
  if (audience !== undefined) mustHave(claims, "aud");
  if (issuer !== undefined && claims.iss !== issuer) {
    throw flawed('unexpected "iss" claim value', claims, "iss");
  }
  if (audience !== undefined) {
    const { aud } = claims;
    const meant = typeof aud === "string" ? aud === audience : Array.isArray(aud) && aud.includes(audience);
    if (!meant) throw flawed('unexpected "aud" claim value', claims, "aud");
  }
  const now = Math.floor(currentDate.getTime() / 1000);
  date(claims, "iat");
  const nbf = date(claims, "nbf");
  if (nbf !== undefined && nbf > now + clockTolerance) {
    throw flawed('"nbf" claim timestamp check failed', claims, "nbf");
  }
  const exp = date(claims, "exp");
  if (exp !== undefined && exp <= now - clockTolerance) {
    throw new errors.JWTExpired('"exp" claim timestamp check failed', claims, "exp", "check_failed");
  }
}

function mustHave(claims: JWTPayload, name: string): void {
  if (!Object.hasOwn(claims, name)) {
    throw new errors.JWTClaimValidationFailed(`missing required "${name}" claim`, claims, name, "missing");
  }
}

function date(claims: JWTPayload, name: "iat" | "nbf" | "exp"): number | undefined {
  const value: unknown = claims[name];
  if (value === undefined || typeof value === "number") return value;
  throw new errors.JWTClaimValidationFailed(`"${name}" claim must be a number`, claims, name, "invalid");
}

function flawed(message: string, claims: JWTPayload, name: string): Error {
  return new errors.JWTClaimValidationFailed(message, claims, name, "check_failed");
}
