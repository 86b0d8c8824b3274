import { SignJWT } from "jose";
import { UserError } from "../cli/output.ts";
import { utf8Encoder } from "../core/text.ts";
import type { TokenClaims } from "./types.ts";

const HOUR_SECONDS = 3_600;

/** @throws UserError when there is no secret to sign with */
export async function signToken(
  secret: string | undefined,
  { user, seconds = HOUR_SECONDS, info, claims }: TokenClaims,
): Promise<string> {
  if (!secret) throw new UserError("set auth.tokenSecret to sign tokens with");
  const now = Math.floor(Date.now() / 1000);
  const said = { sub: user, iat: now, exp: now + seconds, ...(info !== undefined && { info }), ...claims };
  return await new SignJWT(said).setProtectedHeader({ alg: "HS256" }).sign(utf8Encoder.encode(secret));
}
