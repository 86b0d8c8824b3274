import { Buffer } from "node:buffer";
import type { Draft, Tree } from "./draft.ts";
import { secretOf } from "./secrets.ts";

const HMAC = ["HS256", "HS384", "HS512"];
const RSA = ["RS256", "RS384", "RS512"];
const ECDSA = ["ES256", "ES384", "ES512"];
const SECRET_BYTES = 32;

/** A setting that is taken: its name in the file, and its value. */
type Take = (option: string) => { readonly name: string; readonly value: string } | undefined;

/**
 * Writes how tokens are checked. One way with nothing else to be checked is a setting of its own; anything more becomes
 * `auth.issuers`.
 * @param take takes an option of `client.token`
 */
export function tokensOf(draft: Draft, take: Take): void {
  const limits: Tree = {};
  for (const [option, member] of [
    ["issuer", "issuer"],
    ["audience", "audience"],
  ] as const) {
    const found = take(option);
    if (!found) continue;
    limits[member] = found.value;
    draft.maps(found.name, `auth.issuers[].${member}`);
  }
  const issuers: Tree[] = [];
  const found = {
    hmac: take("hmac_secret_key"),
    rsa: take("rsa_public_key"),
    ecdsa: take("ecdsa_public_key"),
    jwks: take("jwks_public_endpoint"),
  };
  const previous = take("hmac_previous_secret_key");
  const many = Object.values(found).filter((one) => one !== undefined).length > 1;
  const simple = Object.keys(limits).length === 0 && !previous && !many;
  if (found.hmac) {
    const to = simple ? "auth.tokenSecret" : "auth.issuers[].secret";
    const secret = secretOf(draft, found.hmac.name, found.hmac.value, {
      to,
      least: SECRET_BYTES,
      who: "whoever signs tokens",
    });
    issuers.push({ algorithms: HMAC, secret });
  }
  if (previous) {
    if (Buffer.byteLength(previous.value) >= SECRET_BYTES) {
      issuers.push({ algorithms: HMAC, secret: previous.value });
      draft.differs(previous.name, "taken until you remove it", "auth.issuers[].secret");
    } else draft.missing(previous.name, `shorter than ${SECRET_BYTES} bytes`);
  }
  for (const [one, algorithms] of [
    [found.rsa, RSA],
    [found.ecdsa, ECDSA],
  ] as const) {
    if (!one) continue;
    issuers.push({ algorithms, publicKey: one.value });
    draft.maps(one.name, simple ? "auth.tokenPublicKey" : "auth.issuers[].publicKey");
  }
  if (found.jwks) {
    issuers.push({ algorithms: [...RSA, ...ECDSA], jwksUrl: found.jwks.value });
    draft.maps(found.jwks.name, simple ? "auth.tokenJwksUrl" : "auth.issuers[].jwksUrl");
  }
  setIssuers(draft, issuers, simple ? undefined : limits);
}

/** @param limits what each issuer is held to; absent: the only one is a setting of its own */
function setIssuers(draft: Draft, issuers: readonly Tree[], limits: Tree | undefined): void {
  if (limits) {
    if (issuers.length > 0)
      draft.set(
        "auth.issuers",
        issuers.map((one) => ({ ...limits, ...one })),
      );
    return;
  }
  const [{ secret, publicKey, jwksUrl } = {} as Tree] = issuers;
  if (secret !== undefined) draft.set("auth.tokenSecret", secret);
  if (publicKey !== undefined) draft.set("auth.tokenPublicKey", publicKey);
  if (jwksUrl !== undefined) draft.set("auth.tokenJwksUrl", jwksUrl);
}
