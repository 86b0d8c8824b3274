import { expect, test } from "bun:test";
import { jwtAuthenticator } from "../../src/auth/jwt/jwt.ts";
import { silent } from "../../src/core/log.ts";
import { bound } from "../helpers/bound.ts";
import {
  connectionToken,
  inSeconds,
  signed,
  subscriptionToken,
  TEST_ISSUER,
  verdict,
} from "../helpers/tokens.ts";

async function authenticator() {
  const made = bound(jwtAuthenticator({ issuers: [TEST_ISSUER], log: silent }));
  await made.start();
  return made;
}

const OWN = { user: "42", channel: "chat:1" };

test("a subscription token grants a channel to a user", async () => {
  const { subscription } = await authenticator();
  const claims = { ...OWN, exp: inSeconds(60), info: { role: "mod" } };
  const token = subscriptionToken({ ...claims, override: { force_recovery: { value: true } } });
  const grant = { info: '{"role":"mod"}', expiresAt: claims.exp, recovery: true };
  expect(await subscription(token, "chat:1", "42")).toMatchObject(grant);
  const forEver = subscriptionToken({ ...claims, expire_at: 0 });
  expect((await subscription(forEver, "chat:1", "42")).expiresAt).toBeUndefined();
});

test("one without a user is for anonymous clients", async () => {
  const { subscription } = await authenticator();
  const token = signed({ channel: "chat:1" });
  expect(await verdict(subscription(token, "chat:1", ""))).toBe("good");
  expect(await verdict(subscription(token, "chat:1", "42"))).toBe(3500);
});

test("one of another channel or user ends the connection, seen before or not", async () => {
  const { subscription } = await authenticator();
  const token = subscriptionToken(OWN);
  for (let i = 0; i < 2; i++) {
    expect(await verdict(subscription(token, "chat:2", "42"))).toBe(3500);
    expect(await verdict(subscription(token, "chat:1", "43"))).toBe(3500);
    expect(await verdict(subscription(token, "chat:1", "42"))).toBe("good");
  }
});

test.each([
  ["no token", "x"],
  ["changed signature", `${subscriptionToken(OWN).slice(0, -8)}AAAAAAAA`],
  ["a connection token", connectionToken({ user: "42" })],
  ["override no flag", subscriptionToken({ ...OWN, override: { presence: 1 } })],
  ["channel no string", subscriptionToken({ ...OWN, channel: 5 as never })],
  ["alg none", signed({ sub: "42", channel: "chat:1" }, { header: { alg: "none" } })],
])("a flawed one is refused: %s", async (_, token) => {
  const { subscription } = await authenticator();
  expect(await verdict(subscription(token, "chat:1", "42"))).toBe(103);
});

test("an old one has expired", async () => {
  const { subscription } = await authenticator();
  expect(await verdict(subscription(subscriptionToken({ ...OWN, exp: 1 }), "chat:1", "42"))).toBe(109);
});
