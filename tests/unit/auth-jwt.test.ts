import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { exportSPKI, generateKeyPair, SignJWT } from "jose";
import { type Issuer, PUBLIC_KEY_ALGORITHMS } from "../../src/auth/jwt/issuer.ts";
import { jwtAuthenticator, MAX_TOKEN_LENGTH } from "../../src/auth/jwt/jwt.ts";
import { Closes, CommandError, ConnectionError, Errors } from "../../src/core/errors.ts";
import { silent } from "../../src/core/log.ts";
import { bound } from "../helpers/bound.ts";
import {
  connectionToken,
  inSeconds,
  signed,
  subscriptionToken,
  TEST_ISSUER,
  TEST_SECRET,
} from "../helpers/tokens.ts";

async function authenticator(issuers: readonly Issuer[] = [TEST_ISSUER], now: () => number = Date.now) {
  const made = bound(jwtAuthenticator({ issuers, log: silent, now }));
  await made.start();
  return made;
}

const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

/** Expects the terminal close every flawed connection token gets; `detail` is part of what the log is told. */
async function expectInvalid(promise: Promise<unknown>, detail = ""): Promise<void> {
  const error = await outcome(promise);
  expect(error).toBeInstanceOf(ConnectionError);
  expect((error as ConnectionError).close).toEqual(Closes.invalidToken);
  expect((error as ConnectionError).message).toContain(detail);
}

async function expectCommandError(promise: Promise<unknown>, code: number): Promise<void> {
  const error = await outcome(promise);
  expect(error).toBeInstanceOf(CommandError);
  expect((error as CommandError).error.code).toBe(code);
}

const base64 = (text: string) => Buffer.from(text).toString("base64url");

describe("connection tokens", () => {
  test("say who a client is", async () => {
    const { connection } = await authenticator();
    const exp = inSeconds(600);
    const token = connectionToken({
      user: "42",
      exp,
      iat: 1_700_000_000,
      jti: "token-1",
      info: { name: "Ann\nB" },
      channels: ["news", "chat:1"],
      subs: {
        "chat:1": {
          info: { role: "mod" },
          data: [1],
          override: { presence: { value: true }, join_leave: null },
        },
        "chat:2": {
          b64info: btoa('{"x":1}'),
          override: {
            join_leave: { value: false },
            force_recovery: { value: true },
            force_positioning: { value: false },
            force_push_join_leave: { value: true },
          },
        },
      },
      meta: { plan: "pro" },
      caps: [{ channels: ["game:*"], match: "wildcard", allow: ["sub", "pub"] }],
      device: "phone",
    });
    const identity = await connection(token);
    expect(identity).toMatchObject({
      user: "42",
      info: '{"name":"Ann\\nB"}',
      expiresAt: exp,
      meta: '{"plan":"pro"}',
      device: "phone",
      tokenId: "token-1",
      issuedAt: 1_700_000_000,
    });
    expect(JSON.parse(JSON.stringify(identity.subscriptions))).toEqual([
      { channel: "news" },
      { channel: "chat:1", info: '{"role":"mod"}', data: "[1]", presence: true },
      {
        channel: "chat:2",
        info: '{"x":1}',
        joinLeave: false,
        recovery: true,
        positioning: false,
        forceJoinLeave: true,
      },
    ]);
    expect(identity.capabilities[0]?.matches("game:7")).toBe(true);
  });

  test("need only a user, who may be anonymous", async () => {
    const { connection } = await authenticator();
    expect(await connection(signed({ sub: "" }))).toMatchObject({
      user: "",
      subscriptions: [],
      capabilities: [],
    });
    expect((await connection(signed({ sub: "7" }))).expiresAt).toBeUndefined();
  });

  test("b64info stands for info", async () => {
    const { connection } = await authenticator();
    const b64info = Buffer.from('{"name":"Zoë"}').toString("base64");
    expect((await connection(connectionToken({ user: "1", b64info }))).info).toBe('{"name":"Zoë"}');
    await expectInvalid(connection(connectionToken({ user: "1", b64info: "%%" })), "b64info");
    await expectInvalid(connection(connectionToken({ user: "1", b64info: btoa("{") })), "b64info");
  });

  test("expire_at moves the end of the connection, not of the token", async () => {
    const { connection } = await authenticator();
    const later = inSeconds(7200);
    expect((await connection(connectionToken({ user: "1", expire_at: later }))).expiresAt).toBe(later);
    expect((await connection(connectionToken({ user: "1", expire_at: 0 }))).expiresAt).toBeUndefined();
    await expectCommandError(
      connection(connectionToken({ user: "1", exp: inSeconds(-60), expire_at: 0 })),
      109,
    );
    await expectCommandError(connection(connectionToken({ user: "1", expire_at: inSeconds(-60) })), 109);
  });

  test("expire, and say so", async () => {
    const { connection } = await authenticator();
    const error = await outcome(connection(connectionToken({ user: "1", exp: inSeconds(-60) })));
    expect((error as CommandError).error).toEqual(Errors.tokenExpired);
    await expectCommandError(connection(connectionToken({ user: "1", exp: 0 })), 109);
  });

  test("a clock that is a little off does no harm", async () => {
    const { connection } = await authenticator();
    await connection(connectionToken({ user: "1", exp: inSeconds(-2) }));
    await connection(connectionToken({ user: "1", nbf: inSeconds(2) }));
  });

  test.each(["HS256", "ES256"])("a token seen before expires all the same, %s", async (alg) => {
    let nowMs = Date.now();
    const pair = await generateKeyPair("ES256");
    const { connection } = await authenticator(
      [TEST_ISSUER, { algorithms: ["ES256"], publicKey: await exportSPKI(pair.publicKey) }],
      () => nowMs,
    );
    const jwt = new SignJWT({ sub: "1", exp: inSeconds(100) }).setProtectedHeader({ alg });
    const token = await jwt.sign(alg === "ES256" ? pair.privateKey : new TextEncoder().encode(TEST_SECRET));
    const first = await connection(token);
    const second = await connection(token);
    expect(second).toEqual(first);
    // Remembered only where checking again would cost more.
    expect(second === first).toBe(alg === "ES256");
    nowMs += 104_000; // still within the tolerance
    expect(await connection(token)).toEqual(first);
    nowMs += 2_000;
    await expectCommandError(connection(token), 109);
    await expectCommandError(connection(token), 109);
  });

  const good = connectionToken({ user: "1" });
  const [header, payload, signature] = good.split(".") as [string, string, string];
  const unsigned = (text: string) => `${base64(text)}.${payload}.${signature}`;
  const signedText = (text: string) => {
    const mac = createHmac("sha256", TEST_SECRET).update(`${header}.${text}`);
    return `${header}.${text}.${mac.digest("base64url")}`;
  };
  /** The last of 43 characters carries four bits of 32 bytes: three more stand for the same. */
  const sameBits = (token: string) => {
    const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    return digits[digits.indexOf(token.at(-1)!) + 1]!;
  };

  test.each<[string, string, string]>([
    ["empty", "", "compact"],
    ["not a token", "hello", "compact"],
    ["two parts", `${header}.${payload}`, "compact"],
    ["five parts", `${good}.x.y`, "compact"],
    ["no signature", `${header}.${payload}.`, "compact"],
    [
      "white space in the signature",
      `${header}.${payload}.${signature.slice(0, 9)} ${signature.slice(9)}`,
      "compact",
    ],
    ["padding", `${good}=`, "compact"],
    ["malformed base64", `${header}.abcde.${signature}`, "no known key"],
    ["malformed base64, signed", signedText("abcde"), "base64url"],
    ["another text of the same signature", `${good.slice(0, -1)}${sameBits(good)}`, "no known key"],
    ["header is no JSON", unsigned("{"), "Header"],
    ["header is no object", unsigned("[]"), "Header"],
    ["other claims under the signature", `${header}.${base64('{"sub":"2"}')}.${signature}`, "no known key"],
    ["changed signature", `${header}.${payload}.${"A".repeat(43)}`, "no known key"],
    [
      "other secret",
      signed({ sub: "1" }, { secret: "another-secret-0123456789abcdefghijklm" }),
      "no known key",
    ],
    ["alg none", `${base64('{"alg":"none"}')}.${payload}.`, "compact"],
    ["alg none, signed", signed({ sub: "1" }, { header: { alg: "none" } }), "no issuer"],
    ["alg not pinned", signed({ sub: "1" }, { header: { alg: "HS512" } }), "no issuer"],
    ["alg missing", signed({ sub: "1" }, { header: { alg: undefined } }), "malformed header"],
    ["alg no string", signed({ sub: "1" }, { header: { alg: ["HS256"] } }), "malformed header"],
    ["alg of the prototype", signed({ sub: "1" }, { header: { alg: "__proto__" } }), "no issuer"],
    ["kid no string", signed({ sub: "1" }, { header: { kid: 1 } }), "malformed header"],
    ["critical extension", signed({ sub: "1" }, { header: { crit: ["exp"], exp: 1 } }), "critical"],
    ["critical b64", signed({ sub: "1" }, { header: { crit: ["b64"], b64: true } }), "critical"],
    ["key in the header", signed({ sub: "1" }, { header: { jwk: { kty: "oct", k: "AA" } } }), "nested"],
    ["huge", connectionToken({ user: "1", info: "x".repeat(MAX_TOKEN_LENGTH) }), "too long"],
    ["sub no string", signed({ sub: 42 }), "sub"],
    ["sub null", signed({ sub: null }), "sub"],
    ["sub too long for an inbox", signed({ sub: "u".repeat(251) }), "sub"],
    ["sub with a lone surrogate", signed({ sub: "\ud800" }), "sub"],
    ["exp no number", connectionToken({ user: "1", exp: "2030-01-01" }), "exp"],
    ["exp numeric string", connectionToken({ user: "1", exp: String(inSeconds(60)) }), "exp"],
    ["exp null", connectionToken({ user: "1", exp: null }), "exp"],
    ["iat no number", connectionToken({ user: "1", iat: "now" }), "iat"],
    ["nbf ahead", connectionToken({ user: "1", nbf: inSeconds(60) }), "nbf"],
    ["nbf no number", connectionToken({ user: "1", nbf: true }), "nbf"],
    ["expire_at no number", connectionToken({ user: "1", expire_at: "0" }), "expire_at"],
    ["expire_at negative", connectionToken({ user: "1", expire_at: -1 }), "expire_at"],
    ["channels no list", connectionToken({ user: "1", channels: "news" }), "channels"],
    ["subs no object", connectionToken({ user: "1", subs: ["news"] }), "subs"],
    [
      "override no flag",
      connectionToken({ user: "1", subs: { a: { override: { presence: true } } } }),
      "subs",
    ],
    [
      "caps unknown match",
      connectionToken({ user: "1", caps: [{ channels: ["a"], match: "glob", allow: [] }] }),
      "caps",
    ],
    [
      "caps unknown right",
      connectionToken({ user: "1", caps: [{ channels: ["a"], allow: ["all"] }] }),
      "caps",
    ],
    [
      "caps with a refused pattern",
      connectionToken({ user: "1", caps: [{ channels: ["(a)\\1"], match: "regex", allow: ["sub"] }] }),
      "caps",
    ],
    ["a subscription token", subscriptionToken({ user: "1", channel: "chat:1" }), "channel"],
  ])("refused: %s", async (_, token, detail) => {
    const { connection } = await authenticator();
    await expectInvalid(connection(token), detail);
  });

  test("refused: numbers beyond JSON's range and repeated members", async () => {
    const { connection } = await authenticator();
    const sign = (headerText: string, claimsText: string) => {
      const input = `${base64(headerText)}.${base64(claimsText)}`;
      return `${input}.${new Bun.CryptoHasher("sha256", TEST_SECRET).update(input).digest("base64url")}`;
    };
    expect((await connection(sign('{"alg":"HS256","typ":"a\\":b"}', '{"sub":"1"}'))).user).toBe("1");
    await expectInvalid(connection(sign('{"alg":"HS256"}', '{"sub":"1","exp":1e999}')), "exp");
    await expectInvalid(connection(sign('{"alg":"none","alg":"HS256"}', '{"sub":"1"}')), "repeated");
    await expectInvalid(connection(sign('{"alg":"HS256"}', '["sub"]')));
    await expectInvalid(connection(sign('{"alg":"HS256"}', "\xff{")));
  });

  test("errors never hold the token or the secret", async () => {
    const { connection } = await authenticator();
    for (const token of [
      signed({ sub: "1", exp: 1 }),
      `${good}x`,
      connectionToken({ user: "1", device: 5 }),
    ]) {
      const error = (await outcome(connection(token))) as Error;
      const said = `${error.message} ${error.stack} ${JSON.stringify(error)}`;
      expect(said).not.toContain(token.split(".")[2]!);
      expect(said).not.toContain(token.split(".")[1]!);
      expect(said).not.toContain(TEST_SECRET);
    }
  });
});

describe("issuers", () => {
  const second = "second-secret-0123456789abcdefghijklmnop";

  test("are chosen by name, and a name belongs to its issuer alone", async () => {
    const { connection } = await authenticator([
      TEST_ISSUER,
      { issuer: "https://b.example", audience: "edge", algorithms: ["HS256"], secret: second },
    ]);
    const b = { sub: "1", iss: "https://b.example", aud: ["edge", "other"] };
    expect((await connection(signed(b, { secret: second }))).user).toBe("1");
    expect((await connection(signed({ ...b, aud: "edge" }, { secret: second }))).user).toBe("1");
    expect((await connection(signed({ sub: "1", iss: "https://unlisted.example" }))).user).toBe("1");
    await expectInvalid(connection(signed(b)), "no known key");
    await expectInvalid(connection(signed({ sub: "1" }, { secret: second })), "no known key");
    await expectInvalid(connection(signed({ ...b, aud: "other" }, { secret: second })), "aud");
    await expectInvalid(connection(signed({ ...b, aud: undefined }, { secret: second })), "aud");
    await expectInvalid(connection(signed({ ...b, aud: { edge: 1 } }, { secret: second })), "aud");
  });

  test("with a name refuse tokens of others and of nobody", async () => {
    const { connection } = await authenticator([{ ...TEST_ISSUER, issuer: "https://a.example" }]);
    expect((await connection(signed({ sub: "1", iss: "https://a.example" }))).user).toBe("1");
    await expectInvalid(connection(signed({ sub: "1" })), "no issuer");
    await expectInvalid(connection(signed({ sub: "1", iss: "https://a.example.evil" })), "no issuer");
    await expectInvalid(connection(signed({ sub: "1", iss: ["https://a.example"] })), "no issuer");
  });

  test("may roll a secret over, with or without key names", async () => {
    const { connection } = await authenticator([
      { ...TEST_ISSUER, kid: "old" },
      { algorithms: ["HS256"], secret: second, kid: "new" },
    ]);
    expect((await connection(signed({ sub: "1" }, { secret: second }))).user).toBe("1");
    expect((await connection(signed({ sub: "1" }, { secret: second, header: { kid: "new" } }))).user).toBe(
      "1",
    );
    await expectInvalid(connection(signed({ sub: "1" }, { secret: second, header: { kid: "old" } })));
    await expectCommandError(connection(signed({ sub: "1", exp: 5 }, { secret: second })), 109);
  });

  test.each(["RS256", "PS384", "ES256", "ES512", "EdDSA"] as const)("sign with %s", async (algorithm) => {
    const { privateKey, publicKey } = await generateKeyPair(algorithm);
    const { connection } = await authenticator([
      TEST_ISSUER,
      { algorithms: [algorithm], publicKey: `\n${await exportSPKI(publicKey)}` },
    ]);
    const jwt = new SignJWT({ sub: "42" }).setProtectedHeader({ alg: algorithm }).setExpirationTime("1h");
    const token = await jwt.sign(privateKey);
    expect((await connection(token)).user).toBe("42");
    await expectInvalid(connection(`${token.slice(0, -8)}AAAAAAAA`), "no known key");
  });

  test("with all algorithms take those of the key's kind", async () => {
    const { privateKey, publicKey } = await generateKeyPair("ES384");
    const { connection } = await authenticator([
      { algorithms: PUBLIC_KEY_ALGORITHMS, publicKey: await exportSPKI(publicKey) },
    ]);
    const claims = { sub: "42" };
    const token = await new SignJWT(claims).setProtectedHeader({ alg: "ES384" }).sign(privateKey);
    expect((await connection(token)).user).toBe("42");
    for (const alg of ["RS256", "PS256", "ES256", "ES512", "EdDSA"]) {
      await expectInvalid(connection(signed(claims, { header: { alg } })), "no known key");
    }
  });

  test("a public key is never taken for an HMAC secret", async () => {
    const { publicKey } = await generateKeyPair("RS256");
    const pem = await exportSPKI(publicKey);
    const { connection } = await authenticator([{ algorithms: ["RS256"], publicKey: pem }]);
    for (const secret of [pem, pem.trim(), pem.trimEnd()]) {
      await expectInvalid(connection(signed({ sub: "1" }, { secret })), "no issuer");
      await expectInvalid(
        connection(signed({ sub: "1" }, { secret, header: { alg: "RS256" } })),
        "no known key",
      );
    }
    await expect(authenticator([{ algorithms: ["HS256"], secret: pem }])).rejects.toThrow("no PEM key");
  });

  test("with mistakes stop the start and say how to mend it", async () => {
    const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
    const pem = await exportSPKI(publicKey);
    const pkcs8 = Buffer.from(await crypto.subtle.exportKey("pkcs8", privateKey)).toString("base64");
    const cases: [Issuer, string][] = [
      [{ algorithms: ["HS256"] }, "exactly one"],
      [{ algorithms: ["HS256"], secret: TEST_SECRET, publicKey: pem }, "exactly one"],
      [{ algorithms: [], secret: TEST_SECRET }, "algorithms"],
      [{ algorithms: ["RS256"], secret: TEST_SECRET }, "HS256, HS384"],
      [{ algorithms: ["HS256"], publicKey: pem }, "RS256, RS384"],
      [{ algorithms: ["none" as never], secret: TEST_SECRET }, "algorithms"],
      [{ algorithms: ["HS256"], secret: "short" }, "at least 32 bytes"],
      [{ algorithms: ["RS256"], publicKey: pem }, "RS256"],
      [{ algorithms: ["ES256"], publicKey: `-----BEGIN PRIVATE KEY-----\n${pkcs8}` }, "private key"],
      [{ algorithms: ["ES256"], publicKey: "hello" }, "BEGIN PUBLIC KEY"],
      [{ algorithms: ["ES256"], jwksUrl: "http://keys.example/jwks" }, "https"],
    ];
    for (const [issuer, message] of cases) {
      const error = (await outcome(authenticator([issuer]))) as Error;
      expect(error).toBeInstanceOf(Error);
      expect(error.message).toContain(message);
      expect(error.message).not.toContain("short");
      expect(error.message).not.toContain(pkcs8);
    }
  });
});
