import { describe, expect, test } from "bun:test";
import type { Finding } from "../../src/gateway/findings.ts";
import { Troubles } from "../../src/gateway/instance/trouble.ts";
import { token } from "./auth.ts";
import { createWorld, startGateway, type TestGateway } from "./fixture.ts";
import { CHANNEL, publish, subscribed, USER, WAYS } from "./why-ways.ts";

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

describe("why a user gets nothing", () => {
  test.each(WAYS.map((way) => [way.what, way] as const))(
    "%s",
    async (_, { fixture = {}, make, cause, causes: among, hint, request }) => {
      await using gateway = await startGateway(fixture);
      await make(gateway);
      const { causes, hints } = await asked(gateway, request);
      if (cause) expect(causes[0]).toMatch(cause);
      else if (!among) expect(causes).toEqual([]);
      const first = causes.slice(0, 3);
      if (among) expect(first).toEqual(expect.arrayContaining([expect.stringMatching(among)]));
      if (hint) expect(hints).toEqual(expect.arrayContaining([expect.stringMatching(hint)]));
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

  test("nobody is behind the store for what was removed from it", async () => {
    await using gateway = await startGateway();
    await subscribed(gateway);
    await publish(gateway);
    await publish(gateway, "chat:elsewhere");
    await gateway.gateway.operations.historyRemove(CHANNEL);
    const { causes } = await asked(gateway);
    expect(causes).toEqual([expect.stringMatching(/^nothing is stored in chat:room: .* it was removed/)]);
  });

  test("an instance that does not answer is named, with what presence lists there", async () => {
    const world = createWorld();
    await using here = await startGateway({ world });
    await using there = await startGateway({ world, instance: "there" });
    await subscribed(there);
    here.broker.change("survey", (answers) =>
      answers.filter((one) => (one as { instance: string }).instance === "here"),
    );
    expect((await asked(here)).causes[0]).toBe(
      "presence lists u7 on there (eu), and that instance does not answer",
    );
    const other = await asked(here, { user: "u8" });
    expect(other.causes).toEqual(["u8 has no connection to the 1 of 2 instances that answer"]);
    expect(other.hints).toContain("no answer from there (eu): what is missing may be there");
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
  // What happens again and again is one, and drives out nothing.
  for (let n = 0; n < 5_000; n++)
    troubles.add({ atMs: n, user: "u", client: "one", what: "publish", code: 111, message: "" });
  expect(troubles.find(({ client }) => client === "one", 10)).toMatchObject([{ times: 5_000, atMs: 4_999 }]);
  expect(troubles.find(() => true, 10_000)).toHaveLength(2_000);
});
