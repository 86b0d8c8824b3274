import { z } from "zod";
import { utf8Encoder } from "../core/text.ts";

/** Signature algorithms a token may have, as JOSE names them (RFC 7518, RFC 8037). `none` is none of them. */
const ALGORITHMS = [
  ...(["HS256", "HS384", "HS512"] as const),
  ...(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const),
  ...(["ES256", "ES384", "ES512", "EdDSA"] as const),
] as const;

/** Shortest HMAC secret taken, in bytes (RFC 7518 §3.2: at least the hash's output). */
const SECRET_BYTES = 32;

export const PEM_SHAPE = /^\s*-----BEGIN [A-Z0-9 ]+-----[\s\S]+-----END [A-Z0-9 ]+-----\s*$/;
export const PEM_WHAT = "a public key in PEM form (-----BEGIN PUBLIC KEY----- …)";
export const JWKS_SHAPE = /^https?:\/\/[^\s@]+$/;
export const JWKS_WHAT = "an https:// URL (http:// only on this machine, or when insecure)";
export const SECRET_WHAT = `at least ${SECRET_BYTES} bytes long; openssl rand -hex 32 makes one`;

/** Whether keys fetched from there cannot be swapped on their way. */
export function isPrivate(jwksUrl: string): boolean {
  return /^(https:|http:\/\/(localhost|127\.0\.0\.1|\[::1\])[:/])/.test(jwksUrl);
}

export function longEnough(secret: string): boolean {
  return utf8Encoder.encode(secret).length >= SECRET_BYTES;
}

const named = (what: string, shape: RegExp, check: (text: string) => boolean = () => true) =>
  z
    .string({ error: `it must be ${what}` })
    .regex(shape, { error: `it must be ${what}` })
    .refine(check, {
      error: `it must be ${what}`,
    });

/** One party whose tokens are taken. Exactly one kind of key: a secret and a public key must never be confused. */
const issuer = () =>
  z
    .strictObject({
      issuer: named("the token's `iss`", /./).optional(),
      audience: named("a value of the token's `aud`", /./).optional(),
      kid: named("the key's name", /./).optional(),
      algorithms: z
        .array(z.enum(ALGORITHMS, { error: `it must be one of ${ALGORITHMS.join(", ")}` }), {
          error: "it must be a list of algorithms",
        })
        .min(1, { error: "it must name at least one algorithm" }),
      secret: named(SECRET_WHAT, /^[\s\S]*$/, longEnough).optional(),
      publicKey: named(PEM_WHAT, PEM_SHAPE).optional(),
      jwksUrl: named(JWKS_WHAT, JWKS_SHAPE).optional(),
    })
    .superRefine((value, context) => {
      const problem = keyProblem(value);
      if (problem) context.addIssue({ code: "custom", message: problem });
    });

/** `auth.issuers` in the file. */
export const issuers = () => z.array(issuer(), { error: "it must be a list of issuers" });

/** A party whose tokens are taken; without `issuer`, tokens of any `iss`. */
export type IssuerSettings = z.infer<ReturnType<typeof issuer>>;

/** An issuer for people: everything but its secret. */
export function showIssuer(value: IssuerSettings): unknown {
  return value.secret === undefined ? value : { ...value, secret: "***" };
}

function keyProblem(value: IssuerKeys): string | undefined {
  const keys = [value.secret, value.publicKey, value.jwksUrl].filter((key) => key !== undefined);
  if (keys.length !== 1) return "it must have exactly one of secret, publicKey and jwksUrl";
  const hmac = value.algorithms.filter((name) => name.startsWith("HS")).length;
  if (value.secret === undefined && hmac > 0) return "HS256, HS384 and HS512 need a secret, not a public key";
  if (value.kid !== undefined && value.jwksUrl !== undefined)
    return "kid is for a secret or publicKey; a key set has its own";
  if (value.secret !== undefined && hmac < value.algorithms.length) {
    return "a secret goes with HS256, HS384 and HS512 only";
  }
  return undefined;
}

interface IssuerKeys {
  readonly algorithms: readonly string[];
  readonly secret?: string | undefined;
  readonly publicKey?: string | undefined;
  readonly jwksUrl?: string | undefined;
  readonly kid?: string | undefined;
}
