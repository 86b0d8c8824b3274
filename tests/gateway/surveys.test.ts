import { describe, expect, test } from "bun:test";
import { createOversight } from "../../src/gateway/oversee.ts";
import { createWorld, startGateway, type TestGateway } from "./fixture.ts";

/** What other instances answer is looked at: nonsense is left out, counted, and said to be missing. */

const NONSENSE = [
  ...[
    { connections: "7" },
    null,
    "x",
    [1],
    5,
    true,
    { "chat:x": -1 },
    { "chat:x": "many" },
    { "chat:x": Number.POSITIVE_INFINITY },
  ],
  { instance: "there", troubles: [{}] },
  { instance: "th ere", region: "", version: "", connections: 0, users: 0, channels: 0, uptimeMs: 0 },
  { instance: "there", region: "", version: "", connections: 0, users: 0, channels: 1e300, uptimeMs: 0 },
];

type Asks = (here: TestGateway) => Promise<{ partial?: boolean } | undefined>;

/** Every question that instances ask each other, by the kind of its signal. */
const QUESTIONS: Readonly<Record<string, Asks>> = {
  info: async ({ gateway }) => {
    const { instances, partial } = await gateway.operations.info();
    expect(instances).toHaveLength(1);
    return { partial };
  },
  channels: async ({ gateway }) => {
    const { channels, partial } = await gateway.operations.channels("chat:x");
    expect([...channels]).toEqual([["chat:x", 1]]);
    return { partial };
  },
  inspect: async ({ gateway }) => {
    const { instances, partial } = await gateway.operations.why({ user: "ann" });
    expect(instances).toHaveLength(1);
    return { partial };
  },
  log_level: async ({ gateway }) => {
    const { levels, partial } = await gateway.operations.logLevel({});
    expect(levels.size).toBe(1);
    return { partial };
  },
  figures: async ({ gateway }) => {
    const { instances, partial } = await createOversight(gateway.context).figures();
    expect(instances.length).toBeLessThan(2);
    return { partial };
  },
  move: async ({ gateway }) => {
    const moved = gateway.operations.move({ instance: "there", count: 1, seconds: 1 } as never);
    expect((await moved.catch((error: Error) => error)) as Error).toMatchObject({
      message: expect.stringContaining("no instance of that name answers"),
    });
    return undefined;
  },
};

describe("answers of other instances", () => {
  test.each(Object.entries(QUESTIONS))("to %s that are none", async (kind, ask) => {
    const world = createWorld();
    await using here = await startGateway({ world });
    await using _there = await startGateway({ world, instance: "there" });
    await (await here.connect("ann")).subscribe("chat:x");
    const { broker } = here.gateway.context;
    const survey = broker.survey.bind(broker);
    let asked = 0;
    const nonsense = async (...question: Parameters<typeof survey>) => {
      asked++;
      expect(question[0]).toBe(kind);
      const own = kind === "move" ? [] : (await survey(...question)).slice(0, 1);
      return [...own, ...NONSENSE];
    };
    Object.assign(here.gateway.context, { broker: { ...broker, survey: nonsense } });
    const answer = await ask(here);
    if (answer) expect(answer.partial).toBe(true);
    expect(asked).toBe(1);
    expect(here.stats.badSignals.get("answer")).toBe(NONSENSE.length);
    expect(here.logged.filter(({ message }) => message.includes("instance's answer"))).toHaveLength(1);
  });

  test("an instance that says it has channels without end is asked for a bounded number of lists", async () => {
    await using here = await startGateway({});
    const { broker } = here.gateway.context;
    const survey = broker.survey.bind(broker);
    let asked = 0;
    const boasting = async (...question: Parameters<typeof survey>) => {
      asked++;
      const answers = (await survey(...question)) as { channels: number }[];
      return question[0] === "info"
        ? answers.map((info) => ({ ...info, channels: Number.MAX_SAFE_INTEGER }))
        : answers;
    };
    Object.assign(here.gateway.context, { broker: { ...broker, survey: boasting } });
    await here.gateway.operations.channels(undefined);
    expect(asked).toBe(1 + 1_000);
  });
});
