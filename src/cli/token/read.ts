import { decodeJwt, decodeProtectedHeader, type JWTPayload } from "jose";
import { type Issuer, PUBLIC_KEY_ALGORITHMS, SECRET_ALGORITHMS } from "../../auth/jwt/issuer.ts";
import { jwtAuthenticator } from "../../auth/jwt/jwt.ts";
import { CommandError, Errors } from "../../core/errors.ts";
import { silent } from "../../core/log.ts";
import { columns, UserError } from "../output.ts";
import { secretOfEnvironment } from "../secrets.ts";
import {
  chosenAlgorithm,
  inWords,
  type KeyFlags,
  readKey,
  SECRET_VARIABLE,
  type TokenContext,
} from "./context.ts";

/** What checking a token came to. `unchecked`: there was no key. */
interface Verdict {
  readonly state: "good" | "expired" | "bad" | "unchecked";
  readonly reason?: string;
}

/**
 * `trunkline token read <token>`: shows what a token says and, with a key, whether an instance with that key would
 * take it; the exit code is 1 when it would not. @throws UserError when it is no token at all
 */
export async function readToken(token: string, flags: KeyFlags, context: TokenContext): Promise<void> {
  const { header, claims } = decode(token);
  const issuer = await issuerOf(flags, context);
  const verdict = issuer ? await verify(token, claims, issuer, context) : unchecked(flags);
  if (verdict.state === "bad" || verdict.state === "expired") context.fail();
  const expires = typeof claims.exp === "number" ? inWords(claims.exp, context.now()) : "never";
  const text = flags.json
    ? JSON.stringify({ header, claims, expires, verdict }, null, 2)
    : sheet(header, claims, expires, verdict);
  context.print(visible(text));
}

function decode(token: string): { header: object; claims: JWTPayload } {
  try {
    return { header: decodeProtectedHeader(token), claims: decodeJwt(token) };
  } catch {
    throw new UserError("this is not a JWT: one has three parts of base64url with dots between them");
  }
}

/** What to check with, `undefined` when nothing is given. */
async function issuerOf(
  { key, secretEnv, alg }: KeyFlags,
  context: TokenContext,
): Promise<Issuer | undefined> {
  if (key !== undefined) {
    const chosen = chosenAlgorithm(alg, PUBLIC_KEY_ALGORITHMS);
    const publicKey = await readKey(key, context);
    return { algorithms: chosen ? [chosen] : PUBLIC_KEY_ALGORITHMS, publicKey };
  }
  const secret = secretOfEnvironment(secretEnv ?? SECRET_VARIABLE, context.env);
  if (!secret) return undefined;
  const chosen = chosenAlgorithm(alg, SECRET_ALGORITHMS);
  return { algorithms: chosen ? [chosen] : SECRET_ALGORITHMS, secret };
}

async function verify(
  token: string,
  { channel, sub = "" }: JWTPayload,
  issuer: Issuer,
  { now }: TokenContext,
): Promise<Verdict> {
  const authenticator = jwtAuthenticator({ issuers: [issuer], log: silent, now });
  await authenticator.start().catch((error: Error) => {
    throw new UserError(error.message);
  });
  try {
    if (channel === undefined) await authenticator.connection(token);
    else await authenticator.subscription(token, String(channel), sub);
    return { state: "good" };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const expired = error instanceof CommandError && error.error === Errors.tokenExpired;
    return expired ? { state: "expired" } : { state: "bad", reason: error.message };
  }
}

function unchecked({ secretEnv }: KeyFlags): Verdict {
  return {
    state: "unchecked",
    reason: `no key: set ${secretEnv ?? SECRET_VARIABLE}, or give --key public.pem`,
  };
}

function sheet(header: object, claims: JWTPayload, expires: string, { state, reason }: Verdict): string {
  const facts: [string, string][] = [
    ["kind", claims.channel === undefined ? "connection token" : "subscription token"],
    ["user", JSON.stringify(claims.sub ?? "")],
    ...(claims.channel === undefined
      ? []
      : ([["channel", JSON.stringify(claims.channel)]] as [string, string][])),
    ["expires", expires],
    ["verdict", reason === undefined ? state : `${state} (${reason})`],
    ["header", JSON.stringify(header)],
  ];
  return `${columns(facts)}\nclaims   ${JSON.stringify(claims, null, 2)}`;
}

/** Control characters that JSON leaves as they are would reach the terminal, from a token anybody may have made. */
function visible(text: string): string {
  return text.replaceAll(
    /[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
