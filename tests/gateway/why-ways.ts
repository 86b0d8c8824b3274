import { setTimeout as sleep } from "node:timers/promises";
import { type JWTPayload, SignJWT } from "jose";
import { jwtAuthenticator } from "../../src/auth/jwt/jwt.ts";
import { CommandError, Errors } from "../../src/core/errors.ts";
import { createLogger } from "../../src/core/log.ts";
import type { FixtureOptions, TestGateway } from "./fixture.ts";
import { eventually } from "./time.ts";

/** Ways in which a user may get nothing, each made, and what is said of it. */

export const CHANNEL = "chat:room";
export const USER = "u7";

/** A way, and what is told of it. */
interface Way {
  readonly what: string;
  readonly fixture?: FixtureOptions;
  readonly make: (gateway: TestGateway) => Promise<unknown>;
  /** Of the first cause. */
  readonly cause?: RegExp;
  /** Of one of them. */
  readonly causes?: RegExp;
  readonly hint?: RegExp;
  readonly request?: { readonly user?: string; readonly channel?: string };
}

export const publish = (gateway: TestGateway, channel = CHANNEL) =>
  gateway.gateway.operations.publish(channel, '{"n":1}');
const restrict = (gateway: TestGateway, method: "block" | "revoke", params: object) =>
  gateway.gateway.operations.restrict(method, params);
const never = async () => {};

export async function subscribed(gateway: TestGateway, channel = CHANNEL) {
  const client = await gateway.connect(USER);
  await client.subscribe(channel);
  return client;
}

/** Tokens as they are in production. */
const SECRET = "secret-of-these-tests-0123456789abcdef";
const signed = (claims: JWTPayload) =>
  new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(SECRET));

const signedTokens = () =>
  jwtAuthenticator({
    issuers: [{ algorithms: ["HS256"], secret: SECRET }],
    log: createLogger("error", () => {}),
  });

export const WAYS: readonly Way[] = [
  { what: "it never connected", make: publish, cause: /u7 has no connection$/ },
  {
    what: "its connection ended",
    async make(gateway) {
      const client = await subscribed(gateway);
      await publish(gateway);
      await gateway.gateway.operations.disconnect({ user: USER });
      await client.end();
    },
    cause: /no connection; the last one ended \d+ s ago with 3503/,
  },
  {
    what: "it did not read, and its connection was ended",
    async make(gateway) {
      const client = await subscribed(gateway);
      client.socket.full();
      await publish(gateway);
      await client.end();
    },
    cause: /no connection; the last one ended \d+ s ago with 3008 slow/,
  },
  {
    what: "its token is not accepted",
    async make(gateway) {
      await publish(gateway);
      const client = gateway.centrifuge();
      client.say({ connect: { token: "nonsense" } });
      await eventually(() => gateway.stats.commandErrors > 0);
    },
    cause: /no connection/,
    hint: /1 connects of unknown users were refused/,
  },
  {
    what: "its token has expired",
    fixture: { authenticator: signedTokens() },
    async make(gateway) {
      await publish(gateway);
      const now = Math.floor(Date.now() / 1_000);
      await gateway.centrifuge().ask({ connect: { token: await signed({ sub: USER, exp: now - 60 }) } });
    },
    cause: /u7 has no connection: its connect was refused \d+ s ago: 109 token expired: 6\d s ago/,
  },
  {
    what: "its tokens were revoked",
    async make(gateway) {
      await publish(gateway);
      const now = Math.floor(Date.now() / 1_000);
      await restrict(gateway, "revoke", { user: USER, issued_before: now });
      await gateway.connect(USER, { issuedAt: now - 60 });
    },
    cause: /u7 has no connection: its connect was refused \d+ s ago: 109 token expired: the token is revoked/,
  },
  {
    what: "it is blocked",
    async make(gateway) {
      await publish(gateway);
      await restrict(gateway, "block", { user: USER });
    },
    cause: /u7 is blocked/,
  },
  {
    what: "its right to the channel was taken back",
    async make(gateway) {
      await subscribed(gateway);
      await publish(gateway);
      await restrict(gateway, "revoke", { user: USER, channel: CHANNEL });
    },
    cause: /the right of u7 to chat:room was taken back/,
  },
  {
    what: "it is not subscribed",
    async make(gateway) {
      await gateway.connect(USER);
      await publish(gateway);
    },
    cause: /connected, and not subscribed to chat:room$/,
  },
  {
    what: "another of its connections is subscribed",
    async make(gateway) {
      await subscribed(gateway);
      await gateway.connect(USER);
      await publish(gateway);
    },
    hint: /^connection \S+ on here is not subscribed to chat:room$/,
  },
  {
    what: "the server ended its subscription",
    async make(gateway) {
      const client = await subscribed(gateway);
      await publish(gateway);
      gateway.gateway.operations.unsubscribe({ user: USER }, CHANNEL);
      await eventually(() => client.pushes("unsubscribe", CHANNEL).length > 0);
    },
    cause: /not subscribed to chat:room: the server ended its subscription to chat:room \d+ s ago: 2000/,
  },
  {
    what: "its subscribe was refused",
    fixture: { namespaces: { chat: { subscribe: "token" } } },
    async make(gateway) {
      await subscribed(gateway);
      await publish(gateway);
    },
    cause:
      /not subscribed to chat:room: subscribe of chat:room was refused \d+ s ago: 103 permission denied: .*subscribe: token/,
  },
  {
    what: "its subscribe was one too many",
    fixture: { options: { channels: 1 } },
    async make(gateway) {
      await subscribed(gateway, "chat:other");
      await publish(gateway);
      await gateway.connect(USER).then((client) => client.subscribe(CHANNEL));
    },
    cause:
      /not subscribed to chat:room: subscribe of chat:room was refused .* 106 limit exceeded: limits\.channels is 1/,
  },
  {
    what: "it asked for a part of the messages alone",
    async make(gateway) {
      const client = await gateway.connect(USER);
      await publish(gateway);
      await client.subscribe(CHANNEL, { tf: { op: "and" } });
    },
    cause:
      /not subscribed to chat:room: subscribe of chat:room was refused .* 108 not available: `tf` is not served/,
  },
  {
    what: "it subscribes to a namespace that there is not",
    async make(gateway) {
      await subscribed(gateway, "chta:room");
      await publish(gateway);
    },
    request: { user: USER, channel: "chta:room" },
    cause: /not subscribed to chta:room: subscribe of chta:room was refused .* 102 unknown channel/,
  },
  {
    what: "it is subscribed to a channel with nearly that name",
    async make(gateway) {
      await subscribed(gateway, "chat:rooom");
      await publish(gateway);
    },
    causes: /^u7 is subscribed to chat:rooom: is chat:room meant\?$/,
  },
  {
    what: "nothing was published",
    make: (gateway) => subscribed(gateway),
    cause: /nothing is stored in chat:room/,
  },
  {
    what: "it was published to a channel with nearly that name",
    async make(gateway) {
      await subscribed(gateway);
      await publish(gateway, "chat:romm");
    },
    causes: /^the newest message of namespace chat went to chat:romm, \d+ s ago: is chat:room meant\?$/,
  },
  {
    what: "it was published to a namespace that there is not",
    async make(gateway) {
      await subscribed(gateway);
      await publish(gateway, "caht:room").catch(() => {});
    },
    cause:
      /what a service published to caht:room was refused \d+ s ago: 102 unknown channel: is chat:room meant\?/,
  },
  {
    what: "the publisher may not",
    async make(gateway) {
      await subscribed(gateway);
      const publisher = await gateway.connect("u9");
      await publisher.ask({ publish: { channel: CHANNEL, data: 1 } });
    },
    cause:
      /what u9 published to chat:room was refused \d+ s ago: 103 permission denied: .*publish: subscriber/,
  },
  {
    what: "the publisher has no room in its quota",
    fixture: { namespaces: { chat: { publishRate: 1 } } },
    async make(gateway) {
      await subscribed(gateway);
      const publisher = await gateway.connect("u9");
      await publisher.subscribe(CHANNEL);
      for (let n = 0; n < 5; n++) await publisher.ask({ publish: { channel: CHANNEL, data: n } });
    },
    cause:
      /what u9 published to chat:room was refused 3 times, the last \d+ s ago: 111 too many requests: publishRate/,
  },
  {
    what: "the store has no room",
    async make(gateway) {
      await subscribed(gateway);
      gateway.broker.fail("publish", new CommandError(Errors.brokerUnavailable, "JetStream has no room"));
      await publish(gateway).catch(() => {});
    },
    cause: /what a service published to chat:room was refused \d+ s ago: 100 .*JetStream has no room/,
  },
  {
    what: "it was published with the key of another message",
    async make(gateway) {
      await subscribed(gateway);
      for (const data of ["1", "2"]) await gateway.gateway.operations.publish(CHANNEL, data, { id: "same" });
    },
    cause:
      /what a service published to chat:room \d+ s ago was a duplicate of message 1 and was not stored: same idempotency key/,
  },
  {
    what: "the namespace is not known",
    make: never,
    request: { channel: "chaat:room" },
    cause: /chaat:room cannot be read: unknown channel: there is no namespace chaat \(did you mean chat\?\)/,
  },
  {
    what: "it does not read",
    async make(gateway) {
      const client = await subscribed(gateway);
      await publish(gateway);
      client.socket.buffered = 100_000;
    },
    cause: /does not read: 100000 bytes wait for it/,
  },
  {
    what: "its instance is behind the store",
    async make(gateway) {
      await subscribed(gateway);
      await publish(gateway);
      // Stored long ago, and not come here.
      gateway.broker.change("history", (page) => ({
        ...page,
        publications: page.publications.map((one) => ({ ...one, offset: 9, timeMs: one.timeMs - 60_000 })),
      }));
    },
    cause: /here is behind the store: at 1 of 9/,
  },
  {
    what: "nothing is kept, and it was away",
    async make(gateway) {
      await subscribed(gateway, "live:room");
      await publish(gateway, "live:room");
    },
    request: { user: USER, channel: "live:room" },
    hint: /namespace live has no history/,
  },
  {
    what: "what it missed was dropped before it came back",
    fixture: { namespaces: { chat: { history: { size: 2, ageMs: 60_000, recoverLimit: 10, replicas: 1 } } } },
    async make(gateway) {
      const client = await gateway.connect(USER);
      for (let n = 0; n < 6; n++) await publish(gateway);
      const { publications: _, ...position } = await gateway.gateway.operations.history(CHANNEL, {
        limit: 0,
      });
      const { epoch } = position.position;
      await client.subscribe(CHANNEL, { recover: true, offset: 1, epoch });
    },
    cause:
      /u7 came back to chat:room \d+ s ago, and what it had missed could not be delivered \(from 1, to 6: that message is not kept any more/,
  },
  {
    what: "it connected after the message",
    async make(gateway) {
      await publish(gateway);
      await sleep(5);
      await subscribed(gateway);
    },
    hint: /began after message 1 was stored: it gets that only if it asks for what it missed/,
  },
  {
    what: "the publisher left it out",
    async make(gateway) {
      const client = await subscribed(gateway);
      await gateway.gateway.operations.publish(CHANNEL, "1", { except: client.id });
    },
    cause: /is left out of message 1: whoever published it asked for that/,
  },
  {
    what: "the instance leaves out what matters least",
    fixture: { overloaded: () => true },
    async make(gateway) {
      await subscribed(gateway);
      for (const data of ["1", "2"])
        await gateway.gateway.operations.publish(CHANNEL, data, { priority: "low" });
    },
    cause: /here is overloaded and left out 2 low-priority messages of chat:room; the last was 2/,
    hint: /published with low priority/,
  },
  {
    what: "only the newest of a window goes",
    fixture: { namespaces: { chat: { windowMs: 100, conflate: "latest" } } },
    async make(gateway) {
      await subscribed(gateway);
      await publish(gateway);
    },
    hint: /sends only the newest messages of a window/,
  },
];
