import { describe, expect, test } from "bun:test";
import type { Finding } from "../../src/gateway/findings.ts";
import { Troubles } from "../../src/gateway/instance/trouble.ts";
import { token } from "./auth.ts";
import { createWorld, type FixtureOptions, startGateway, type TestGateway } from "./fixture.ts";
import { eventually } from "./time.ts";

/** Ways in which a user may get nothing, each made, and what is said of it. */

const CHANNEL = "chat:room";
const USER = "u7";

const texts = (findings: readonly Finding[], kind: Finding["kind"]) =>
  findings.filter((one) => one.kind === kind).map(({ text }) => text);

async function asked(
  gateway: TestGateway,
  request: { user?: string; channel?: string } = { user: USER, channel: CHANNEL },
) {
  const { findings } = await gateway.gateway.operations.why(request);
  const causes = texts(findings, "cause");
  return { causes, hints: texts(findings, "hint"), fine: texts(findings, "fine") };
}

/** A way, and a word of the first cause or hint that is told. */
interface Way {
  readonly what: string;
  readonly fixture?: FixtureOptions;
  readonly make: (gateway: TestGateway) => Promise<unknown>;
  readonly cause?: RegExp;
  readonly hint?: RegExp;
  readonly request?: { readonly user?: string; readonly channel?: string };
}

const publish = (gateway: TestGateway, channel = CHANNEL) =>
  gateway.gateway.operations.publish(channel, '{"n":1}');
const restrict = (gateway: TestGateway, method: "block" | "revoke", params: object) =>
  gateway.gateway.operations.restrict(method, params);
const never = async () => {};

async function subscribed(gateway: TestGateway, channel = CHANNEL) {
  const client = await gateway.connect(USER);
  await client.subscribe(channel);
  return client;
}

const WAYS: readonly Way[] = [
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
    cause: /connected, and not subscribed to chat:room/,
  },
  {
    what: "its subscribe was refused",
    fixture: { namespaces: { chat: { subscribe: "token" } } },
    async make(gateway) {
      await subscribed(gateway);
      await publish(gateway);
    },
    cause: /not subscribed/,
    hint: /subscribe of chat:room was refused \d+ s ago: 103 permission denied/,
  },
  {
    what: "nothing was published",
    make: (gateway) => subscribed(gateway),
    cause: /nothing is stored in chat:room/,
  },
  {
    what: "the namespace is not known",
    make: never,
    request: { channel: "nowhere:room" },
    cause: /nowhere:room cannot be read: unknown channel/,
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
    what: "nothing is kept, and it was away",
    async make(gateway) {
      await subscribed(gateway, "live:room");
      await publish(gateway, "live:room");
    },
    request: { user: USER, channel: "live:room" },
    hint: /namespace live has no history/,
  },
  {
    what: "the instance leaves out what matters least",
    fixture: { overloaded: () => true },
    async make(gateway) {
      await subscribed(gateway);
      await gateway.gateway.operations.publish(CHANNEL, "{}", { priority: "low" });
    },
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

describe("why a user gets nothing", () => {
  test.each(WAYS.map((way) => [way.what, way] as const))(
    "%s",
    async (_, { fixture = {}, make, cause, hint, request }) => {
      await using gateway = await startGateway(fixture);
      await make(gateway);
      const { causes, hints } = await asked(gateway, request);
      if (cause) expect(causes[0]).toMatch(cause);
      else expect(causes).toEqual([]);
      if (hint)
        expect(
          hints.some((text) => hint.test(text)),
          hints.join("\n"),
        ).toBe(true);
    },
  );

  test("of one who gets everything it says just that, with its library", async () => {
    await using gateway = await startGateway();
    const client = gateway.centrifuge();
    await client.ask({ connect: { token: token({ user: USER }), name: "js", version: "5.3.0" } });
    await client.subscribe(CHANNEL);
    await publish(gateway);
    const { causes, hints, fine } = await asked(gateway);
    expect([causes, hints]).toEqual([[], []]);
    expect(fine.join("\n")).toMatch(/js 5\.3\.0/);
    expect(fine.join("\n")).toMatch(/was given everything of chat:room/);
  });

  test("is answered by any instance about all, and says who lost NATS", async () => {
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    await subscribed(there);
    await publish(here);
    const { instances, partial } = await here.gateway.operations.why({ user: USER, channel: CHANNEL });
    expect(partial).toBe(false);
    const [found] = instances.filter(({ connections }) => connections.length > 0);
    expect(found).toMatchObject({
      instance: "there",
      connections: [{ address: "192.0.2.1", subscriptions: 2 }],
    });
    const away = { status: () => ({ state: "disconnected", sinceMs: 0 }) };
    Object.assign(there.gateway.context, { broker: { ...there.gateway.context.broker, ...away } });
    expect((await asked(here)).causes.join()).toContain("there has lost NATS");
  });
});

test("troubles are bounded: the newest 2,000, with short texts", () => {
  const troubles = new Troubles();
  for (let n = 0; n < 5_000; n++) {
    const what = { what: "subscribe", channel: "c".repeat(1_000), code: 103 };
    troubles.add({ atMs: n, user: "u", client: `${n}`, ...what, message: "m".repeat(1_000) });
  }
  const found = troubles.find(() => true, 10_000);
  expect(found).toHaveLength(2_000);
  expect([found[0]!.client, found.at(-1)!.client]).toEqual(["4999", "3000"]);
  expect(found[0]!.message.length + found[0]!.channel!.length).toBe(600);
});
