import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { generateKeyPairSync, sign } from "node:crypto";
import { answerTo, LOUD, member, stranger, unharmed, verdict } from "../helpers/hostile.ts";
import { startInstance, TEST_API_KEY, type TestInstance } from "../helpers/instances.ts";
import { connectionToken, inSeconds, signed, subscriptionToken, TEST_SECRET } from "../helpers/tokens.ts";

type Claims = Readonly<Record<string, unknown>>;

const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const PEM = publicKey.export({ type: "spki", format: "pem" }).toString();
const ISSUER = { issuer: "https://id.example.com", audience: "trunkline", algorithms: ["RS256"] };

const good = { sub: "mallory", exp: inSeconds(3600) };
const named = { ...good, iss: ISSUER.issuer, aud: ISSUER.audience };
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const unsigned = (header: unknown, claims: Claims = good) => `${part(header)}.${part(claims)}.`;
/** A token of the issuer with the RSA key. */
const rsa = (claims: Claims, header: Claims = {}) => {
  const input = `${part({ alg: "RS256", ...header })}.${part(claims)}`;
  return `${input}.${sign("sha256", Buffer.from(input), privateKey).toString("base64url")}`;
};
const valid = connectionToken({ user: "mallory", jti: crypto.randomUUID() });
const [head, body, signature] = valid.split(".") as [string, string, string];

/** Tokens to connect with, and what they get: the error of connect or the code of the close frame. */
const TOKENS: readonly (readonly [what: string, token: string, gets: number | "ok"])[] = [
  ["a good token", valid, "ok"],
  ["a good token of the other issuer", rsa(named), "ok"],
  ["one that has expired", signed({ ...good, exp: inSeconds(-60) }), 109],
  ["one that has expired, of the other issuer", rsa({ ...named, exp: inSeconds(-60) }), 109],
  ["one that expired and was changed", `${signed({ ...good, exp: 1 }).slice(0, -3)}AAA`, 3500],
  ["one not valid yet", signed({ ...good, nbf: inSeconds(3600) }), 3500],
  ["an expiry that is text", signed({ ...good, exp: "9999999999" }), 3500],
  ["an expiry that is null", signed({ ...good, exp: null }), 3500],
  ["a start that is text", signed({ ...good, nbf: "0" }), 3500],
  ["another secret", signed(good, { secret: "another-secret-of-at-least-32-bytes" }), 3500],
  ["no signature", `${head}.${body}.`, 3500],
  ["no signature and no dot", `${head}.${body}`, 3500],
  ["another's signature", `${head}.${part({ ...good, sub: "admin" })}.${signature}`, 3500],
  ["alg none", unsigned({ alg: "none" }), 3500],
  ["alg none with a signature", unsigned({ alg: "none" }) + signature, 3500],
  ["alg nOnE", unsigned({ alg: "nOnE" }), 3500],
  ["no alg", unsigned({ typ: "JWT" }) + signature, 3500],
  ["alg that is a list", unsigned({ alg: ["HS256"] }) + signature, 3500],
  ["an alg named like what every object has", unsigned({ alg: "constructor" }) + signature, 3500],
  [
    "two algs",
    `${Buffer.from('{"alg":"none","alg":"HS256"}').toString("base64url")}.${body}.${signature}`,
    3500,
  ],
  ["the public key as secret", signed(named, { secret: PEM }), 3500],
  ["the public key as secret, without its last newline", signed(named, { secret: PEM.trim() }), 3500],
  [
    "the public key as secret, said to be RS256",
    signed(named, { secret: PEM, header: { alg: "RS256" } }),
    3500,
  ],
  ["the public key as secret, for nobody's issuer", signed(good, { secret: PEM }), 3500],
  ["a wrong issuer", rsa({ ...named, iss: "https://id.example.com.evil.test" }), 3500],
  ["the wrong issuer's key", signed(named), 3500],
  ["no issuer, with its key", rsa(good), 3500],
  ["a wrong audience", rsa({ ...named, aud: "another" }), 3500],
  ["no audience", rsa({ ...named, aud: undefined }), 3500],
  ["an audience that contains ours", rsa({ ...named, aud: "trunkline2" }), 3500],
  ["a key of its own in the header", rsa(named, { jwk: publicKey.export({ format: "jwk" }) }), 3500],
  ["a key set of its own in the header", rsa(named, { jku: "http://127.0.0.1:1/keys" }), "ok"],
  ["a critical extension", rsa(named, { crit: ["exp"], exp: 1 }), 3500],
  ["a kid that is a path", signed(good, { header: { kid: "../../../dev/null" } }), "ok"],
  ["a kid that is an object", signed(good, { header: { kid: {} } }), 3500],
  ["no user, where nobody may be anonymous", signed({ exp: good.exp }), 3507],
  ["a user that is a number", signed({ ...good, sub: 42 }), 3500],
  ["a user that is a list", signed({ ...good, sub: ["mallory"] }), 3500],
  ["nobody as user", signed({ ...good, sub: "" }), 3507],
  ["claims that are a list", signed([] as unknown as Claims), 3500],
  ["a subscription token", subscriptionToken({ user: "mallory", channel: "chat:x" }), 3500],
  ["another user's inbox", connectionToken({ user: "mallory", channels: ["user:ann"] }), 3507],
  ["a channel that cannot be", connectionToken({ user: "mallory", channels: ["a b:c"] }), 107],
  ["an unknown namespace", connectionToken({ user: "mallory", channels: ["nowhere:c"] }), 102],
  [
    "more channels than a connection may have",
    connectionToken({ user: "mallory", channels: Array.from({ length: 200 }, (_, n) => `chat:${n}`) }),
    3505,
  ],
  [
    "a capability that takes for ever to match",
    connectionToken({ user: "m", caps: [{ channels: ["(a+)+$"], match: "regex", allow: ["sub"] }] }),
    "ok",
  ],
  ["garbage", "hunter2-hunter2-hunter2", 3500],
  ["three parts of garbage", "hunter2.hunter2.hunter2", 3500],
  ["dots", "..", 3500],
  ["a line break behind", `${valid}\n`, 3500],
  ["a blank before", ` ${valid}`, 3500],
  ["Unicode", "日本.日本.日本", 3500],
  ["10 KB", connectionToken({ user: "mallory", meta: "x".repeat(10_000) }), 3500],
  ["300 KB", connectionToken({ user: "mallory", meta: "x".repeat(300_000) }), 1009],
];

for (const runtime of ["bun", "deno"] as const) {
  describe(`tokens on ${runtime}`, () => {
    let instance: TestInstance;
    const used: string[] = [TEST_SECRET, TEST_API_KEY];
    /** Remembers a token, which must be in no log line afterwards: neither whole nor any of its parts. */
    const use = (token: string) => {
      used.push(...token.split(".").filter((one) => one.length > 16));
      return token;
    };
    beforeAll(async () => {
      const config = { ...LOUD, auth: { issuers: [{ ...ISSUER, publicKey: PEM }] } };
      instance = await startInstance({ runtime, config });
    }, 60_000);
    afterAll(async () => {
      expect(instance.lines.filter(({ level }) => level === "debug").length).toBeGreaterThan(
        TOKENS.length / 2,
      );
      await using ended = instance;
      await unharmed(ended, used);
    });

    for (const [what, token, gets] of TOKENS) {
      test(`connect with ${what} gets ${gets}`, async () => {
        using client = await stranger(instance);
        client.send(JSON.stringify({ id: 1, connect: { token: use(token) } }));
        expect(await verdict(client, 1)).toBe(gets);
      });
    }

    test("no token gets 3501, an empty one too", async () => {
      for (const connect of [
        {},
        { token: "" },
        { data: { token: use(valid) } },
        { headers: { token: valid } },
      ]) {
        using client = await stranger(instance);
        client.send(JSON.stringify({ id: 1, connect }));
        expect(await verdict(client, 1)).toBe(3501);
      }
    });

    test("a token in the address counts for nothing and is not logged", async () => {
      const token = use(connectionToken({ user: "in-the-address" }));
      using client = await stranger({ ...instance, websocket: `${instance.websocket}?token=${token}` });
      client.send('{"id":1,"connect":{}}');
      expect(await verdict(client, 1)).toBe(3501);
      for (const path of ["/connection/websocket", "/nowhere", "/api/info", "/metrics"]) {
        await fetch(`${instance.url}${path}?token=${token}`, {
          headers: { Authorization: `Bearer ${token}` },
        });
      }
    });

    test("a token in a frame that is malformed is not logged", async () => {
      const token = use(connectionToken({ user: "malformed" }));
      for (const frame of [
        `{"id":1,"connect":{"token":"${token}"`,
        `{"id":1,"connect":{"token":["${token}"]}}`,
        `{"id":1,"${token}":{}}`,
        `{"id":"${token}","connect":{}}`,
        `{"id":1,"connect":{"token":"${token}","name":7}}`,
        token,
      ]) {
        using client = await stranger(instance);
        client.send(frame);
        expect(await verdict(client, 1)).toBe(3501);
      }
    });

    const refreshes: readonly (readonly [what: string, token: string, gets: number])[] = [
      ["another user's token", connectionToken({ user: "ann" }), 3500],
      ["nobody's token", connectionToken({ user: "" }), 3500],
      ["an expired token", connectionToken({ user: "mallory", exp: 1 }), 109],
      ["garbage", "hunter2.hunter2.hunter2", 3500],
      ["a subscription token", subscriptionToken({ user: "mallory", channel: "chat:x" }), 3500],
      ["no token", "", 3501],
    ];
    for (const [what, token, gets] of refreshes) {
      test(`refresh with ${what} gets ${gets}`, async () => {
        using client = await member(instance);
        client.send(JSON.stringify({ id: 9, refresh: { token: use(token) } }));
        expect(await verdict(client, 9)).toBe(gets);
        if (gets > 1000) return;
        client.send(JSON.stringify({ id: 10, refresh: { token: connectionToken({ user: "mallory" }) } }));
        expect(await verdict(client, 10)).toBe("ok");
      });
    }

    const own = { user: "mallory", channel: "chat:mine" };
    const grants: readonly (readonly [what: string, token: string, gets: number])[] = [
      ["another channel's token", subscriptionToken({ ...own, channel: "chat:other" }), 3500],
      ["another user's token", subscriptionToken({ ...own, user: "ann" }), 3500],
      ["an expired token", subscriptionToken({ ...own, exp: 1 }), 109],
      ["a token whose grant is over", subscriptionToken({ ...own, expire_at: 1 }), 109],
      ["a token of another secret", signed({ sub: "mallory", ...own }, { secret: "y".repeat(40) }), 103],
      ["an unsigned token", unsigned({ alg: "none" }, { sub: "mallory", ...own }), 103],
      ["garbage", "hunter2.hunter2.hunter2", 103],
      ["a connection token", valid, 103],
      ["a list as channel", signed({ sub: "mallory", channel: ["chat:mine"] }), 103],
    ];
    for (const [what, token, gets] of grants) {
      test(`subscribe and sub_refresh with ${what} get ${gets}`, async () => {
        using one = await member(instance);
        one.send(JSON.stringify({ id: 9, subscribe: { channel: own.channel, token: use(token) } }));
        expect(await verdict(one, 9)).toBe(gets);
        using two = await member(instance);
        two.send(
          JSON.stringify({ id: 8, subscribe: { channel: own.channel, token: subscriptionToken(own) } }),
        );
        expect((await answerTo(two, 8)).error).toBeUndefined();
        two.send(JSON.stringify({ id: 9, sub_refresh: { channel: own.channel, token } }));
        expect(await verdict(two, 9)).toBe(gets);
      });
    }

    test("a good subscription token opens neither an inbox nor what is granted to nobody", async () => {
      using client = await member(instance);
      const token = use(subscriptionToken({ user: "mallory", channel: "user:ann" }));
      client.send(JSON.stringify({ id: 9, subscribe: { channel: "user:ann", token } }));
      expect(await verdict(client, 9)).toBe(103);
      client.send(JSON.stringify({ id: 10, sub_refresh: { channel: "user:ann", token } }));
      expect(await verdict(client, 10)).toBe(103);
    });

    test("what others have is out of reach: their channels and inboxes, whatever is tried", async () => {
      using client = await member(instance);
      let id = 10;
      const ask = async (method: string, fields: object) => {
        client.send(JSON.stringify({ id: ++id, [method]: fields }));
        return await verdict(client, id);
      };
      for (const channel of [
        "user:ann",
        "user:",
        "user:mallory2",
        "user:Mallory",
        "user:mallory.x",
        "user:*",
      ]) {
        const none = channel === "user:" ? 107 : 103;
        for (const method of ["subscribe", "publish", "history"]) {
          expect([channel, method, await ask(method, { channel, data: 1, limit: 1 })]).toEqual([
            channel,
            method,
            none,
          ]);
        }
        const rpc = { method: "trunkline.publish", data: { channel, id: "x", data: 1 } };
        expect([channel, await ask("rpc", rpc)]).toEqual([channel, none]);
      }
      expect(await ask("publish", { channel: "user:mallory", data: 1 })).toBe(103);
      expect(await ask("publish", { channel: "chat:not-mine", data: 1 })).toBe(103);
      expect(await ask("publish", { channel: "news", data: 1 })).toBe(103);
      expect(await ask("history", { channel: "chat:not-mine", limit: 1 })).toBe(103);
      expect(await ask("presence", { channel: "chat:not-mine" })).toBe(103);
      expect(await ask("presence_stats", { channel: "chat:not-mine" })).toBe(103);
      expect(await ask("unsubscribe", { channel: "user:mallory" })).toBe(103);
      expect(await ask("subscribe", { channel: "user:mallory" })).toBe(105);
    });

    test("a capability's pattern costs linear time", async () => {
      const caps = [{ channels: ["chat:(a|a)*b", "chat:(a*)*b"], match: "regex", allow: ["pub"] }];
      using client = await member(instance, "m", use(connectionToken({ user: "m", caps })));
      const begin = performance.now();
      client.send(JSON.stringify({ id: 9, publish: { channel: `chat:${"a".repeat(240)}!`, data: 1 } }));
      expect(await verdict(client, 9)).toBe(103);
      expect(performance.now() - begin).toBeLessThan(1_000);
    });
  });
}
