import { describe, expect, spyOn, test } from "bun:test";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { JWKS_COOLDOWN_MS, JWKS_FRESH_MS } from "../../src/auth/jwt/jwks.ts";
import { jwtAuthenticator } from "../../src/auth/jwt/jwt.ts";
import { createLogger } from "../../src/core/log.ts";
import { bound } from "../helpers/bound.ts";
import { signed, verdict } from "../helpers/tokens.ts";

interface Pair {
  readonly jwk: JWK;
  token(claims?: Record<string, unknown>): Promise<string>;
}

async function pair(kid: string | undefined, alg = "ES256"): Promise<Pair> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), ...(kid && { kid }), use: "sig" };
  return { jwk, token: (claims) => sign(privateKey, alg, kid, claims) };
}

function sign(
  key: CryptoKey,
  alg: string,
  kid?: string,
  claims: Record<string, unknown> = {},
): Promise<string> {
  const header = { alg, ...(kid && { kid }) };
  return new SignJWT({ sub: "42", ...claims }).setProtectedHeader(header).setExpirationTime("2h").sign(key);
}

/** An authenticator over a key set endpoint that exists in memory, with a clock of its own. */
async function world(...keys: JWK[]) {
  const lines: Record<string, unknown>[] = [];
  const state = {
    keys,
    fetches: 0,
    nowMs: Date.now(),
    lines,
    answer: (): Response | Promise<Response> => Response.json({ keys: state.keys }),
  };
  const authenticator = bound(
    jwtAuthenticator({
      issuers: [{ algorithms: ["ES256", "RS256"], jwksUrl: "https://keys.example/set?key=hush" }],
      log: createLogger("debug", (line) => lines.push(line)),
      now: () => state.nowMs,
      fetch: async () => {
        state.fetches++;
        return await state.answer();
      },
    }),
  );
  await authenticator.start();
  return Object.assign(state, { connection: authenticator.connection });
}

describe("a key set", () => {
  test("is fetched once and chosen from by key name", async () => {
    const [a, b] = [await pair("a"), await pair("b", "RS256")];
    const w = await world(a.jwk, b.jwk);
    const tokens = await Promise.all([a.token(), b.token(), a.token({ n: 1 })]);
    for (const token of tokens) expect(await verdict(w.connection(token))).toBe("good");
    expect(w.fetches).toBe(1);
  });

  test("is tried through for tokens that name no key", async () => {
    const [a, b] = [await pair(undefined), await pair(undefined)];
    const w = await world(a.jwk, b.jwk);
    expect(await verdict(w.connection(await b.token()))).toBe("good");
    expect(await verdict(w.connection(await (await pair(undefined)).token()))).toBe(3500);
  });

  test("is fetched once more for a key it does not have, however many ask, and not again within the cool-down", async () => {
    const [a, b, bogus] = [await pair("a"), await pair("b"), await pair("bogus")];
    const w = await world(a.jwk);
    const [newToken, bogusToken] = [await b.token(), await bogus.token()];
    // Whether it is a new key cannot be known yet: come back later, rather than never.
    expect(await verdict(w.connection(newToken))).toBe(100);
    expect(w.fetches).toBe(1);

    w.keys = [a.jwk, b.jwk];
    w.nowMs += JWKS_COOLDOWN_MS;
    expect(await Promise.all([newToken, newToken, newToken].map((t) => verdict(w.connection(t))))).toEqual(
      Array(3).fill("good"),
    );
    expect(w.fetches).toBe(2);

    for (let i = 0; i < 20; i++) expect(await verdict(w.connection(bogusToken))).toBe(100);
    expect(w.fetches).toBe(2);
    w.nowMs += JWKS_COOLDOWN_MS;
    expect(await verdict(w.connection(bogusToken))).toBe(3500);
    expect(w.fetches).toBe(3);
  });

  test("stays in use while its endpoint is down, which is asked only now and then", async () => {
    const a = await pair("a");
    const w = await world(a.jwk);
    w.answer = () => new Response("down", { status: 503 });
    w.nowMs += JWKS_FRESH_MS;
    for (let i = 0; i < 5; i++) expect(await verdict(w.connection(await a.token({ i })))).toBe("good");
    expect(w.fetches).toBe(2);
    expect(w.lines).toHaveLength(1);
    expect(w.lines[0]).toMatchObject({
      level: "warn",
      host: "keys.example",
      stage: "status 503",
      keepingOld: true,
    });
    expect(JSON.stringify(w.lines)).not.toContain("hush");
  });

  test("that has dropped a key takes its tokens along, those seen before too", async () => {
    const [a, b] = [await pair("a"), await pair("b")];
    const w = await world(a.jwk, b.jwk);
    const [stays, goes] = [await a.token(), await b.token()];
    for (const token of [stays, goes, stays, goes]) expect(await verdict(w.connection(token))).toBe("good");
    expect(w.fetches).toBe(1);
    w.keys = [a.jwk];
    w.nowMs += JWKS_FRESH_MS;
    expect(await verdict(w.connection(goes))).toBe(3500);
    expect(await verdict(w.connection(stays))).toBe("good");
    expect(w.fetches).toBe(2);
  });

  test("that a token made fetch again early counts for tokens seen before", async () => {
    const [a, b, c] = [await pair("a"), await pair("b"), await pair("c")];
    const w = await world(a.jwk);
    const goes = await a.token();
    expect(await verdict(w.connection(goes))).toBe("good");
    w.keys = [b.jwk, c.jwk];
    w.nowMs += JWKS_COOLDOWN_MS;
    expect(await verdict(w.connection(await b.token()))).toBe("good");
    w.nowMs += JWKS_COOLDOWN_MS;
    expect(await verdict(w.connection(goes))).toBe(3500);
  });

  test("that was never had makes clients come back, and does not stop the start", async () => {
    const a = await pair("a");
    const w = await world(a.jwk);
    const down = await world();
    down.answer = () => Promise.reject(new TypeError("no route to https://keys.example/set?key=hush"));
    down.nowMs += JWKS_FRESH_MS;
    expect(await verdict(down.connection(await a.token()))).toBe(100);
    expect(JSON.stringify(down.lines)).not.toContain("hush");
    expect(await verdict(w.connection(await a.token()))).toBe("good");
  });

  test.each([
    ["no JSON", () => new Response("<html>")],
    ["no key set", () => Response.json({ keys: [1] })],
    ["huge", () => new Response(" ".repeat(300_000))],
  ])("that is %s is not taken", async (_, answer) => {
    const a = await pair("a");
    const w = await world(a.jwk);
    w.answer = answer;
    w.nowMs += JWKS_FRESH_MS;
    expect(await verdict(w.connection(await a.token()))).toBe("good");
    expect(w.lines).toHaveLength(1);
  });

  test("never serves as an HMAC secret", async () => {
    const a = await pair("a");
    const w = await world(a.jwk, {
      kty: "oct",
      k: Buffer.from("x".repeat(32)).toString("base64url"),
      kid: "s",
    });
    const forged = signed({ sub: "42" }, { secret: "x".repeat(32), header: { kid: "s" } });
    expect(await verdict(w.connection(forged))).toBe(3500);
  });
});

test("an endpoint over HTTP is read, its redirects are not followed, and it may not hang", async () => {
  const a = await pair("a");
  let served: "keys" | "redirect" | "nothing" = "redirect";
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: { "/elsewhere": () => Response.json({ keys: [a.jwk] }) },
    fetch: () => {
      if (served === "nothing") return new Promise<Response>(() => {});
      return served === "keys" ? Response.json({ keys: [a.jwk] }) : Response.redirect("/elsewhere");
    },
  });
  let nowMs = Date.now();
  const lines: Record<string, unknown>[] = [];
  const authenticator = jwtAuthenticator({
    issuers: [{ algorithms: ["ES256"], jwksUrl: `http://127.0.0.1:${server.port}/` }],
    log: createLogger("debug", (line) => lines.push(line)),
    now: () => nowMs,
  });
  await authenticator.start();
  expect(lines).toHaveLength(1);
  const token = await a.token();
  expect(await verdict(authenticator.connection(token))).toBe(100);
  served = "keys";
  nowMs += JWKS_COOLDOWN_MS;
  expect(await verdict(authenticator.connection(token))).toBe("good");
  served = "nothing";
  nowMs += JWKS_FRESH_MS;
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  using patience = spyOn(AbortSignal, "timeout").mockImplementation(() => timeout(50));
  expect(await verdict(authenticator.connection(token))).toBe("good");
  expect(patience).toHaveBeenCalledWith(3_000);
  expect(lines[1]).toMatchObject({ stage: "request", why: "TimeoutError", keepingOld: true });
  await authenticator.close();
});
