import { describe, expect, test } from "bun:test";
import { Closes, Errors, Unsubscribes } from "../../src/core/errors.ts";
import type { RestrictionMethod } from "../../src/gateway/restrictions/restriction.ts";
import { token } from "./auth.ts";
import { createWorld, startGateway, type TestGateway } from "./fixture.ts";
import { settled } from "./time.ts";

/** Rights that are taken back: who loses them, who does not, and for how long. */

const now = () => Math.floor(Date.now() / 1_000);
const restrict = ({ gateway }: TestGateway, method: RestrictionMethod, params: object) =>
  gateway.operations.restrict(method, params);

describe("a user who is blocked", () => {
  test("is out on every instance at once, does not come back, and nobody else notices", async () => {
    const world = createWorld();
    await using here = await startGateway({ world, instance: "here" });
    await using there = await startGateway({ world, instance: "there" });
    const mallory = await there.connect("mallory");
    const ann = await there.connect("ann");
    await restrict(here, "block", { user: "mallory", expire_at: now() + 60 });
    expect(await mallory.end()).toBe(Closes.blocked.code);
    for (const gateway of [here, there]) {
      const again = gateway.centrifuge();
      again.say({ id: 1, connect: { token: token({ user: "mallory" }) } });
      expect(await again.end()).toBe(Closes.blocked.code);
    }
    expect(ann.socket.closed).toBeUndefined();
    expect(await restrict(there, "unblock", { user: "mallory" })).toEqual({ lifted: true });
    await settled();
    expect((await here.connect("mallory")).id).toBeDefined();
  });

  test("stays out of an instance that starts later", async () => {
    const world = createWorld();
    await using here = await startGateway({ world });
    await restrict(here, "block", { user: "mallory" });
    await using late = await startGateway({ world, instance: "late" });
    const again = late.centrifuge();
    again.say({ id: 1, connect: { token: token({ user: "mallory" }) } });
    expect(await again.end()).toBe(Closes.blocked.code);
  });

  test.each(["token", "inbox"])("does not slip in while the %s is looked at", async (what) => {
    await using gateway = await startGateway();
    const late = gateway.centrifuge();
    if (what === "token") gateway.authenticator.hold("connection");
    else gateway.broker.hold("attach");
    late.say({ id: 1, connect: { token: token({ user: "mallory" }) } });
    await settled();
    await restrict(gateway, "block", { user: "mallory" });
    await settled();
    expect(late.socket.closed).toBeUndefined();
    gateway.authenticator.openAll();
    gateway.broker.openAll();
    expect(await late.end()).toBe(Closes.blocked.code);
  });

  test("is not blocked for longer than was said", async () => {
    await using gateway = await startGateway();
    await restrict(gateway, "block", { user: "mallory", expire_at: now() + 1 });
    const { restrictions } = gateway.gateway.context;
    expect(restrictions.size).toBe(1);
    restrictions.sweep(Date.now() + 1_500);
    expect(restrictions.size).toBe(0);
    expect((await gateway.connect("mallory")).id).toBeDefined();
  });
});

describe("an address that is blocked", () => {
  test.each([
    ["192.0.2.7", "192.0.2.7", "192.0.2.8"],
    ["192.0.2.0/25", "192.0.2.127", "192.0.2.128"],
    ["2001:db8::/64", "2001:db8::1:2", "2001:db8:0:1::1"],
    ["::ffff:192.0.2.9", "192.0.2.9", "192.0.2.10"],
  ])("%s: %s is out, %s is not", async (address, inside, outside) => {
    await using gateway = await startGateway();
    const [caught, spared] = [
      await gateway.connect("a", {}, { ip: inside }),
      await gateway.connect("b", {}, { ip: outside }),
    ];
    await restrict(gateway, "block", { address });
    expect(await caught.end()).toBe(Closes.blocked.code);
    expect(spared.socket.closed).toBeUndefined();
    expect(gateway.gateway.blocksAddress(inside)).toBe(true);
    expect(gateway.gateway.blocksAddress(outside)).toBe(false);
    await restrict(gateway, "unblock", { address });
    await settled();
    expect(gateway.gateway.blocksAddress(inside)).toBe(false);
  });
});

describe("a revoked token", () => {
  test("ends its connections, and stock clients are told to ask for a new one", async () => {
    await using gateway = await startGateway();
    const [one, other] = [
      await gateway.connect("ann", { tokenId: "t1" }),
      await gateway.connect("ann", { tokenId: "t2" }),
    ];
    await restrict(gateway, "revoke", { token_id: "t1" });
    expect(await one.end()).toBe(Closes.connectionExpired.code);
    expect(other.socket.closed).toBeUndefined();
    expect((await gateway.connect("ann", { tokenId: "t1" })).answer).toEqual({
      error: Errors.tokenExpired.code,
    });
    expect(await other.ask({ refresh: { token: token({ user: "ann", tokenId: "t1" }) } })).toEqual({
      error: Errors.tokenExpired.code,
    });
  });

  test("by the time of its issue: a user's, or everybody's", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann", { issuedAt: 1_000 });
    const fresh = await gateway.connect("ann", { issuedAt: 2_000 });
    const bob = await gateway.connect("bob", { issuedAt: 1_000 });
    await restrict(gateway, "revoke", { user: "ann", issued_before: 1_500 });
    expect(await ann.end()).toBe(Closes.connectionExpired.code);
    expect([fresh, bob].map(({ socket }) => socket.closed)).toEqual([undefined, undefined]);
    await restrict(gateway, "revoke", { issued_before: 1_500 });
    expect(await bob.end()).toBe(Closes.connectionExpired.code);
    expect(fresh.socket.closed).toBeUndefined();
    expect((await gateway.connect("bob", { issuedAt: 1_600 })).id).toBeDefined();
  });

  test("without a time of issue it cannot be told from an old one; who needs no token comes back at once", async () => {
    await using gateway = await startGateway();
    await restrict(gateway, "revoke", { issued_before: now() - 10 });
    expect((await gateway.connect("ann")).answer).toEqual({ error: Errors.tokenExpired.code });
    expect((await gateway.connect()).id).toBeDefined();
  });
});

describe("a channel that is taken from a user", () => {
  test("is left at once, and is not entered again by any door", async () => {
    await using gateway = await startGateway();
    const ann = await gateway.connect("ann");
    const bob = await gateway.connect("bob");
    for (const client of [ann, bob]) await client.subscribe("chat:x");
    await restrict(gateway, "revoke", { user: "ann", channel: "chat:x" });
    await settled();
    expect(ann.pushes("unsubscribe", "chat:x")).toMatchObject([Unsubscribes.permissionDenied]);
    expect(bob.pushes("unsubscribe", "chat:x")).toEqual([]);
    expect(await ann.subscribe("chat:x")).toEqual({ error: Errors.permissionDenied.code });
    const asked = { channel: "chat:x", token: token({ user: "ann", channel: "chat:x" }) };
    expect(await ann.ask({ subscribe: asked })).toEqual({ error: Errors.permissionDenied.code });
    expect(await ann.ask({ publish: { channel: "chat:x", data: {} } })).toEqual({
      error: Errors.permissionDenied.code,
    });
    await gateway.gateway.operations.subscribe({ user: "ann" }, "chat:x");
    await settled();
    expect(gateway.gateway.context.hub.channels.get("chat:x")?.size).toBe(1);
    const again = await gateway.connect("ann", {
      subscriptions: [{ channel: "chat:x" }, { channel: "chat:y" }],
    });
    expect(Object.keys(again.answer.subs as object)).toEqual(["chat:y", "user:ann"]);
    expect((await ann.subscribe("chat:y")).error).toBeUndefined();
  });
});

describe("requests", () => {
  test.each<[RestrictionMethod, object]>([
    ["revoke", {}],
    ["revoke", { token_id: "t", user: "a" }],
    ["revoke", { channel: "chat:x" }],
    ["revoke", { user: "a", channel: "nowhere:x" }],
    ["block", {}],
    ["block", { user: "a", address: "192.0.2.1" }],
    ["block", { address: "nonsense" }],
    ["block", { user: "a", expire_at: 1 }],
    ["block", { user: "a", expire_at: Math.floor(Date.now() / 1_000) + 91 * 86_400 }],
    ["block", { user: "a", reason: "x".repeat(201) }],
    ["unblock", {}],
    ["unblock", { user: "a", id: "b" }],
    ["unblock", { id: "no such\nkey" }],
  ])("%s %j is refused", async (method, params) => {
    await using gateway = await startGateway();
    await expect(restrict(gateway, method, params)).rejects.toThrow();
    expect(gateway.gateway.context.restrictions.size).toBe(0);
  });

  test("are listed, recorded, and bounded", async () => {
    await using gateway = await startGateway();
    const end = now() + 100;
    await restrict(gateway, "block", { user: "mallory", expire_at: end, reason: "spam" });
    await restrict(gateway, "revoke", { token_id: "t1", expire_at: end });
    await settled();
    const { restrictions } = (await restrict(gateway, "restrictions", {})) as { restrictions: object[] };
    expect(restrictions).toMatchObject([
      { kind: "user", user: "mallory", expire_at: end, reason: "spam" },
      { kind: "token", token_id: "t1", expire_at: end },
    ]);
    const audits = gateway.world.bus.events.filter(({ kind }) => kind === "audit").map(({ event }) => event);
    expect(audits).toMatchObject([
      { type: "audit", action: "restricted", kind: "user", user: "mallory", via: "api" },
      { type: "audit", action: "restricted", kind: "token", token: "t1", via: "api" },
    ]);
    for (let index = 0; index < 10_001; index++) {
      const entry = { key: `k${index}`, value: {}, expiresAtMs: Date.now() + 60_000 };
      try {
        await gateway.broker.port.putEntry(entry);
      } catch (error) {
        expect(error).toMatchObject({ error: Errors.limitExceeded });
        expect(index).toBe(9_998);
        return;
      }
    }
    throw new Error("never full");
  });

  test("what is malformed in the store does nothing, and breaks nothing", async () => {
    await using gateway = await startGateway();
    for (const value of [
      {},
      { kind: "user" },
      { kind: "address", address: "x", timeMs: 1 },
      { kind: "token", token: 7 },
    ]) {
      const entry = { key: `restriction-${crypto.randomUUID()}`, value, expiresAtMs: Date.now() + 60_000 };
      await gateway.broker.port.putEntry(entry);
    }
    await settled();
    expect(gateway.gateway.context.restrictions.size).toBe(0);
    expect((await gateway.connect("ann")).id).toBeDefined();
  });
});
