import { importPKCS8, SignJWT } from "jose";
import { ClaimError, readGrant, readIdentity } from "../../auth/claims.ts";
import { type Algorithm, PUBLIC_KEY_ALGORITHMS, SECRET_ALGORITHMS } from "../../auth/jwt/issuer.ts";
import { importSecret } from "../../auth/jwt/keys.ts";
import { UserError } from "../output.ts";
import { secretOfEnvironment } from "../secrets.ts";
import {
  chosenAlgorithm,
  inWords,
  type KeyFlags,
  readKey,
  SECRET_VARIABLE,
  type TokenContext,
} from "./context.ts";

export interface MakeFlags extends KeyFlags {
  readonly user?: string;
  readonly channel?: string;
  readonly ttl?: string;
  readonly info?: string;
  readonly device?: string;
  readonly caps?: string;
  readonly claims?: string;
}

type Claims = Readonly<Record<string, unknown>>;

/**
 * `trunkline token --user 42`: prints a signed token and nothing else on stdout; what it is goes to stderr when a
 * person reads that. @throws UserError
 */
export async function makeToken(flags: MakeFlags, context: TokenContext): Promise<void> {
  const claims = checked(claimsOf(flags, context.now()));
  const { algorithm, key } = await signingKey(flags, context);
  const token = await new SignJWT(claims).setProtectedHeader({ alg: algorithm, typ: "JWT" }).sign(key);
  context.print(flags.json ? JSON.stringify({ token, algorithm, claims }, null, 2) : token);
  if (context.interactive && !flags.json) context.printError(summary(claims, algorithm, context.now()));
}

function claimsOf(flags: MakeFlags, nowMs: number): Claims {
  if (flags.user === undefined)
    throw new UserError('whose token? trunkline token --user 42 ("" for an anonymous client)');
  const iat = Math.floor(nowMs / 1000);
  const ttl = seconds(flags.ttl ?? "1h");
  return {
    sub: flags.user,
    iat,
    ...(ttl !== undefined && { exp: iat + ttl }),
    ...(flags.channel !== undefined && { channel: flags.channel }),
    ...(flags.device !== undefined && { device: flags.device }),
    ...(flags.info !== undefined && { info: json("--info", flags.info) }),
    ...(flags.caps !== undefined && { caps: json("--caps", flags.caps) }),
    ...(flags.claims !== undefined && objectOf("--claims", flags.claims)),
  };
}

/** The claims, when an instance would take them. */
function checked(claims: Claims): Claims {
  if (claims.channel !== undefined && (claims.caps !== undefined || claims.device !== undefined)) {
    throw new UserError("--caps and --device belong into connection tokens, not beside --channel");
  }
  try {
    if (claims.channel === undefined) readIdentity(claims, () => JSON.stringify(claims));
    else readGrant(claims, () => JSON.stringify(claims));
    return claims;
  } catch (error) {
    if (error instanceof ClaimError)
      throw new UserError(`no instance would accept this token: ${error.message}`);
    throw error;
  }
}

async function signingKey(
  { key: path, secretEnv, alg }: KeyFlags,
  context: TokenContext,
): Promise<{ algorithm: Algorithm; key: CryptoKey }> {
  if (path !== undefined) return await privateKey(await readKey(path, context), alg);
  const variable = secretEnv ?? SECRET_VARIABLE;
  const secret = secretOfEnvironment(variable, context.env);
  if (!secret) {
    throw new UserError(
      `nothing to sign with: set ${variable} to the secret of your instances, or give --key file.pem`,
    );
  }
  const algorithm = chosenAlgorithm(alg, SECRET_ALGORITHMS) ?? "HS256";
  const key = await importSecret(secret, algorithm).catch((error: Error) => {
    throw new UserError(`${variable}: ${error.message}`);
  });
  return { algorithm, key };
}

async function privateKey(pem: string, alg: string | undefined) {
  const text = pem.trim();
  if (!text.startsWith("-----BEGIN PRIVATE KEY-----")) {
    throw new UserError(
      "--key must be a private key that begins with -----BEGIN PRIVATE KEY-----; openssl pkcs8 -topk8 -nodes makes one of it",
    );
  }
  const chosen = chosenAlgorithm(alg, PUBLIC_KEY_ALGORITHMS);
  for (const algorithm of chosen ? [chosen] : PUBLIC_KEY_ALGORITHMS) {
    const key = await importPKCS8(text, algorithm).catch(() => undefined);
    if (key) return { algorithm, key };
  }
  throw new UserError(`the key cannot be used${chosen ? ` for ${chosen}` : ""}`);
}

/** A time span in seconds; `undefined` for `never`. */
function seconds(text: string): number | undefined {
  if (text === "never") return undefined;
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const value = Number(count) * ({ s: 1, m: 60, h: 3_600, d: 86_400 }[unit ?? ""] ?? Number.NaN);
  if (!(value > 0)) throw new UserError("--ttl is a number with s, m, h or d, such as 30m, or never");
  return value;
}

function json(flag: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UserError(`${flag} must be JSON; mind the shell's quotes: ${flag} '{"name":"Ann"}'`);
  }
}

function objectOf(flag: string, text: string): Claims {
  const value = json(flag, text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new UserError(`${flag} must be a JSON object`);
  }
  return value as Claims;
}

function summary({ sub, channel, exp }: Claims, algorithm: string, nowMs: number): string {
  const kind =
    channel === undefined ? "connection token" : `subscription token for ${JSON.stringify(channel)}`;
  const end = typeof exp === "number" ? `expires ${inWords(exp, nowMs)}` : "never expires";
  return `${kind}, user ${JSON.stringify(sub)}, ${algorithm}, ${end}`;
}
