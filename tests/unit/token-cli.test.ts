import { describe, expect, test } from "bun:test";
import { Command } from "commander";
import { decodeJwt, exportPKCS8, exportSPKI, generateKeyPair } from "jose";
import { jwtAuthenticator } from "../../src/auth/jwt/jwt.ts";
import { UserError } from "../../src/cli/output.ts";
import { inWords, type TokenContext } from "../../src/cli/token/context.ts";
import { TOKEN_FLAGS, TOKEN_USAGE, token } from "../../src/cli/token/token.ts";
import { silent } from "../../src/core/log.ts";
import { bound } from "../helpers/bound.ts";
import { connectionToken, inSeconds, signed, TEST_ISSUER, TEST_SECRET } from "../helpers/tokens.ts";

const NOW = Date.now();
const SECRET = { TRUNKLINE_TOKEN_SECRET: TEST_SECRET };

/** Runs `trunkline token …` and returns what it printed. */
async function run(
  args: readonly string[],
  world: Partial<TokenContext> & { files?: Record<string, string> } = {},
) {
  const out = { stdout: "", stderr: "", failed: false };
  const context: TokenContext = {
    env: SECRET,
    print: (text) => {
      out.stdout += `${text}\n`;
    },
    printError: (text) => {
      out.stderr += `${text}\n`;
    },
    readFile: async (path) => {
      const text = world.files?.[path];
      if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
      return text;
    },
    fail: () => {
      out.failed = true;
    },
    interactive: false,
    readStdin: async () => "",
    typed: true,
    now: () => NOW,
    ...world,
  };
  // Wired as in main.ts.
  const program = new Command("trunkline").exitOverride();
  const command = program.command(TOKEN_USAGE);
  for (const [flags, description] of TOKEN_FLAGS) command.option(flags, description);
  command.action(() => token(command.opts(), command.args, context));
  await program.parseAsync(["bun", "trunkline", "token", ...args]);
  return out;
}

async function authenticator() {
  const made = bound(jwtAuthenticator({ issuers: [TEST_ISSUER], log: silent }));
  await made.start();
  return made;
}

describe("trunkline token", () => {
  test("prints a token that instances with the secret take, and only that", async () => {
    const args = ["--user", "42", "--info", '{"name":"Ann"}', "--device", "phone", "--ttl", "30m"];
    const caps = '[{"channels":["game:*"],"match":"wildcard","allow":["sub"]}]';
    const { stdout, stderr } = await run([...args, "--caps", caps, "--claims", '{"channels":["news"]}']);
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(stderr).toBe("");
    const identity = await (await authenticator()).connection(stdout.trim());
    expect(identity).toMatchObject({
      user: "42",
      info: '{"name":"Ann"}',
      device: "phone",
      expiresAt: Math.floor(NOW / 1000) + 1800,
      subscriptions: [{ channel: "news" }],
    });
    expect(identity.capabilities[0]?.matches("game:1")).toBe(true);
  });

  test("makes subscription tokens", async () => {
    const { stdout } = await run(["--user", "42", "--channel", "chat:1", "--ttl", "never"]);
    const grant = await (await authenticator()).subscription(stdout.trim(), "chat:1", "42");
    expect(grant.expiresAt).toBeUndefined();
  });

  test("says on stderr what it made when a person reads that", async () => {
    const { stdout, stderr } = await run(["--user", "42"], { interactive: true });
    expect(stdout.trim().split(".")).toHaveLength(3);
    expect(stderr).toContain('connection token, user "42", HS256, expires in 1 hour (');
    expect(stderr).not.toContain(TEST_SECRET);
  });

  test("as JSON", async () => {
    const { token, claims } = JSON.parse((await run(["--user", "", "--json"])).stdout);
    expect(claims).toMatchObject({ sub: "" });
    expect(decodeJwt(token)).toEqual(claims);
  });

  test("takes the secret from another variable, with another algorithm", async () => {
    const env = { OTHER: "another-secret-0123456789-0123456789-0123456789" };
    const { stdout } = await run(["--user", "1", "--secret-env", "OTHER", "--alg", "HS512"], { env });
    const { stdout: sheet } = await run(["read", stdout.trim(), "--secret-env", "OTHER"], { env });
    expect(sheet).toMatch(/^verdict +good$/m);
    expect(sheet).toContain('{"alg":"HS512","typ":"JWT"}');
  });

  test.each(["RS256", "ES384", "EdDSA"])(
    "signs with a private key, whose algorithm it finds: %s",
    async (alg) => {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
      const files = { "key.pem": await exportPKCS8(privateKey), "public.pem": await exportSPKI(publicKey) };
      const token = (await run(["--user", "1", "--key", "key.pem"], { files })).stdout.trim();
      const { stdout, failed } = await run(["read", token, "--key", "public.pem", "--json"], { files });
      expect(JSON.parse(stdout)).toMatchObject({ header: { alg }, verdict: { state: "good" } });
      expect(failed).toBe(false);
      await expect(run(["read", token, "--key", "key.pem"], { files })).rejects.toThrow("openssl pkey");
    },
  );

  test.each<[string, string[], string, Partial<TokenContext>]>([
    ["no user", [], "--user 42", {}],
    ["no secret", ["--user", "1"], "set TRUNKLINE_TOKEN_SECRET", { env: {} }],
    ["short secret", ["--user", "1"], "at least 32 bytes", { env: { TRUNKLINE_TOKEN_SECRET: "hush" } }],
    ["broken JSON", ["--user", "1", "--info", "{name}"], "--info must be JSON", {}],
    ["claims no object", ["--user", "1", "--claims", "[]"], "JSON object", {}],
    ["refused capability", ["--user", "1", "--caps", '[{"channels":["a"],"allow":["all"]}]'], "caps", {}],
    ["capabilities for one channel", ["--user", "1", "--channel", "a", "--caps", "[]"], "--caps", {}],
    ["ttl without unit", ["--user", "1", "--ttl", "60"], "--ttl", {}],
    ["ttl of nothing", ["--user", "1", "--ttl", "0s"], "--ttl", {}],
    ["other algorithm", ["--user", "1", "--alg", "none"], "--alg must be one of HS256", {}],
    ["unknown verb", ["write"], "token read", {}],
    ["nothing to read", ["read"], "token read", {}],
    ["no such key", ["--user", "1", "--key", "nope.pem"], "cannot read the key file nope.pem (ENOENT)", {}],
  ])("tells what is wrong: %s", async (_, args, message, world) => {
    const error = await run(args, world).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toContain(message);
    expect((error as UserError).message).not.toContain("hush");
  });

  test("does not take a public key, or another kind of file, for a private one", async () => {
    const { publicKey } = await generateKeyPair("ES256");
    const files = { "public.pem": await exportSPKI(publicKey), "key.pem": "-----BEGIN EC PRIVATE KEY-----" };
    for (const key of Object.keys(files)) {
      await expect(run(["--user", "1", "--key", key], { files })).rejects.toThrow("openssl pkcs8");
    }
  });
});

describe("trunkline token read", () => {
  test("takes the token from stdin, with - or through a pipe", async () => {
    const token = signed({ sub: "42", exp: inSeconds(60) });
    const piped = { readStdin: async () => `${token}\n` };
    for (const [args, world] of [
      [["read", "-"], piped],
      [["read"], { ...piped, typed: false }],
    ] as const) {
      const { stdout, failed } = await run(args, world);
      expect([failed, stdout]).toEqual([false, expect.stringContaining("42")]);
    }
    await expect(run(["read"], { typed: false })).rejects.toThrow("or - for stdin");
  });

  test("shows claims, expiry in words and the verdict", async () => {
    const token = connectionToken({ user: "42", exp: inSeconds(7_230), info: { name: "Ann" } });
    const { stdout, failed } = await run(["read", token]);
    expect(stdout).toMatch(/^kind +connection token$/m);
    expect(stdout).toMatch(/^user +"42"$/m);
    expect(stdout).toMatch(/^expires +in 2 hours \(20/m);
    expect(stdout).toMatch(/^verdict +good$/m);
    expect(stdout).toContain('"name": "Ann"');
    expect(stdout).not.toContain(TEST_SECRET);
    expect(failed).toBe(false);
  });

  test.each<[string, string, Record<string, unknown>]>([
    ["expired", connectionToken({ user: "42", exp: inSeconds(-3 * 86_400) }), { state: "expired" }],
    [
      "of another secret",
      signed({ sub: "42" }, { secret: "x".repeat(32) }),
      { state: "bad", reason: "invalid token: signature of no known key" },
    ],
    ["without algorithm", signed({ sub: "42" }, { header: { alg: "none" } }), { state: "bad" }],
    ["with a user that is no text", signed({ sub: 7 }), { state: "bad" }],
    ["flawed, for a channel", signed({ sub: "42", channel: "a", override: 1 }), { state: "bad" }],
  ])("fails for a token that is %s", async (_, token, verdict) => {
    const { stdout, failed } = await run(["read", token, "--json"]);
    expect(JSON.parse(stdout).verdict).toMatchObject(verdict);
    expect(failed).toBe(true);
  });

  test("without a key shows what it says, and that nothing was checked", async () => {
    const { stdout, failed } = await run(["read", "--json", signed({ sub: "42", channel: "chat:1" })], {
      env: {},
    });
    expect(JSON.parse(stdout)).toMatchObject({
      claims: { sub: "42", channel: "chat:1" },
      expires: "never",
      verdict: { state: "unchecked" },
    });
    expect(failed).toBe(false);
  });

  test("refuses what is no token", async () => {
    await expect(run(["read", "hello"])).rejects.toThrow("this is not a JWT");
  });

  test("a token cannot write to the terminal", async () => {
    const { stdout } = await run(["read", signed({ sub: "\u001b[31m\u009b31m\u202e", exp: 1e300 })]);
    for (const hidden of ["\u001b", "\u009b", "\u202e"]) expect(stdout).not.toContain(hidden);
    expect(stdout).toContain("\\u009b31m");
  });
});

test("moments are put in words", () => {
  const MOMENT = 1_900_000_000;
  const at = (seconds: number) => inWords(MOMENT + seconds, MOMENT * 1000);
  expect(at(3_600)).toBe("in 1 hour (2030-03-17T18:46:40.000Z)");
  expect(at(-90)).toStartWith("1 minute ago (");
  expect(at(86_400 * 3 + 5)).toStartWith("in 3 days (");
  expect(at(1e15)).toBe("in 11,574,074,074 days");
});
