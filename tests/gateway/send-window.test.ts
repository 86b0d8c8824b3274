import { describe, expect, test } from "bun:test";
import type { PublishOptions } from "../../src/broker/broker.ts";
import { readNamespaces } from "../../src/config/namespaces.ts";
import type { NamespaceRules } from "../../src/core/namespace.ts";
import { startGateway, type TestGateway } from "./fixture.ts";
import { eventually } from "./time.ts";

/** What of a channel's messages goes at once, later, or not at all. */

interface Message {
  readonly n: number;
}

const history = (size: number) => ({ size, ageMs: 600_000, recoverLimit: size, replicas: 1 });
const KEPT = { history: history(100), recovery: "stream", subscribe: "anyone" } as const;

async function publish(gateway: TestGateway, channel: string, n: number, options: PublishOptions = {}) {
  const [namespace, name] = channel.split(":") as [string, string];
  return await gateway.broker.port.publish({ id: channel, namespace, name }, `{"n":${n}}`, options);
}

const pushed = (client: { data(channel?: string): unknown[] }) =>
  client.data().map((data) => (data as Message).n);

/** Publishes five messages in a row to a subscriber. @returns what it has, once the last one has come */
async function five(
  rules: Partial<NamespaceRules>,
  options: (n: number) => PublishOptions = () => ({}),
  state = { overloaded: false },
) {
  await using gateway = await startGateway({
    namespaces: { board: { ...KEPT, ...rules } },
    overloaded: () => state.overloaded,
  });
  const ann = await gateway.connect("ann");
  await ann.subscribe("board:x");
  for (let n = 1; n <= 5; n++) await publish(gateway, "board:x", n, options(n));
  await eventually(() => pushed(ann).includes(5));
  const { publications } = await gateway.gateway.operations.history("board:x", { limit: 10 });
  return { got: pushed(ann), kept: publications.length, conflated: gateway.stats.conflated };
}

describe("a send window", () => {
  test("lets the first message go at once, and those that follow together at its end", async () => {
    expect(await five({ windowMs: 50 })).toEqual({ got: [1, 2, 3, 4, 5], kept: 5, conflated: 0 });
  });

  test("sends the newest alone where the namespace wants that; the history keeps all", async () => {
    expect(await five({ windowMs: 50, conflate: "latest" })).toEqual({
      got: [1, 5],
      kept: 5,
      conflated: 3,
    });
  });

  test("sends the newest of each key, in their order, and whatever has no key", async () => {
    const keys = ["", "a", "b", "a", ""];
    const tags = (n: number) => (keys[n - 1] ? { tags: { key: keys[n - 1]! } } : {});
    const { got, conflated } = await five({ windowMs: 50, conflate: "key" }, tags);
    expect({ got, conflated }).toEqual({ got: [1, 3, 4, 5], conflated: 1 });
  });

  test("does not hold up what is important, nor what came before it", async () => {
    const priority = (n: number) => (n === 4 ? { priority: "high" as const } : {});
    const { got } = await five({ windowMs: 50, conflate: "latest" }, priority);
    expect(got).toEqual([1, 3, 4, 5]);
  });

  test("is kept only under overload where the namespace says so", async () => {
    const rules = { windowMs: 50, conflate: "latest", windowWhen: "overloaded" } as const;
    expect((await five(rules)).got).toEqual([1, 2, 3, 4, 5]);
    expect((await five(rules, undefined, { overloaded: true })).got).toEqual([1, 5]);
  });

  test("gives a subscriber that comes in the middle each message once", async () => {
    await using gateway = await startGateway({ namespaces: { board: { ...KEPT, windowMs: 50 } } });
    const ann = await gateway.connect("ann");
    await ann.subscribe("board:x");
    const first = await publish(gateway, "board:x", 1);
    await publish(gateway, "board:x", 2);
    const bob = await gateway.connect("bob");
    const answer = await bob.subscribe("board:x", {
      recover: true,
      epoch: first.epoch,
      offset: first.offset,
    });
    expect(answer).toMatchObject({ recovered: true });
    await publish(gateway, "board:x", 3);
    await eventually(() => pushed(ann).includes(3) && pushed(bob).includes(3));
    expect(pushed(ann)).toEqual([1, 2, 3]);
    const recovered = (answer.publications as { data: Message }[]).map(({ data }) => data.n);
    expect([...recovered, ...pushed(bob)]).toEqual([2, 3]);
  });

  test("is not ended by somebody who comes: each gets what it lacks when it is over, once", async () => {
    const rules = { ...KEPT, windowMs: 500, conflate: "key" } as const;
    await using gateway = await startGateway({ namespaces: { board: rules } });
    const ann = await gateway.connect("ann");
    await ann.subscribe("board:x");
    const tags = (key: string) => ({ tags: { key } });
    await publish(gateway, "board:x", 1, tags("a"));
    await publish(gateway, "board:x", 2, tags("a"));
    const bob = await gateway.connect("bob");
    const carl = await gateway.connect("carl");
    const dave = await gateway.connect("dave");
    await bob.subscribe("board:x");
    await publish(gateway, "board:x", 3, tags("b"));
    await carl.subscribe("board:x");
    await dave.subscribe("board:x");
    await dave.ask({ unsubscribe: { channel: "board:x" } });
    // Still the window of the first: nobody who came has ended it.
    expect(pushed(ann)).toEqual([1]);
    expect((await gateway.gateway.operations.channels("board:x")).channels.get("board:x")).toBe(3);
    await eventually(() => pushed(bob).length > 0);
    expect([pushed(ann), pushed(bob), pushed(carl), pushed(dave)]).toEqual([[1, 2, 3], [3], [], []]);
    await publish(gateway, "board:x", 4, tags("a"));
    await eventually(() => pushed(carl).includes(4) && pushed(ann).includes(4));
    expect([pushed(ann), pushed(bob), pushed(carl), pushed(dave)]).toEqual([[1, 2, 3, 4], [3, 4], [4], []]);
  });

  test("gives somebody who comes in the midst what is important at once, and nothing twice", async () => {
    const rules = { ...KEPT, windowMs: 60_000, conflate: "latest" } as const;
    await using gateway = await startGateway({ namespaces: { board: rules } });
    const ann = await gateway.connect("ann");
    await ann.subscribe("board:x");
    for (const n of [1, 2]) await publish(gateway, "board:x", n);
    const bob = await gateway.connect("bob");
    await bob.subscribe("board:x");
    await publish(gateway, "board:x", 3, { priority: "high" });
    await eventually(() => pushed(bob).includes(3) && pushed(ann).includes(3));
    expect([pushed(ann), pushed(bob)]).toEqual([[1, 2, 3], [3]]);
  });

  test("stays within its bound, however many keys there are", async () => {
    await using gateway = await startGateway({
      namespaces: {
        board: { ...KEPT, history: history(5_000), windowMs: 10_000, conflate: "key" },
      },
    });
    const ann = await gateway.connect("ann");
    await ann.subscribe("board:x");
    for (let n = 0; n < 1_500; n++) await publish(gateway, "board:x", n, { tags: { key: `k${n}` } });
    await eventually(() => pushed(ann).length > 1_000);
    expect(pushed(ann)).toEqual([...Array(pushed(ann).length).keys()]);
  });

  test("is nothing for inboxes, and what is compared needs a length", () => {
    const problems = (file: object) => {
      const found: string[] = [];
      readNamespaces(file, (text) => found.push(text));
      return found;
    };
    expect(problems({ board: { window: "1s", conflate: "latest" } })).toEqual([]);
    expect(problems({ board: { conflate: "latest" } }).join()).toContain('add "window"');
    expect(problems({ user: { window: "1s", conflate: "latest" } }).join()).toContain(
      "an inbox promises every message",
    );
  });
});

test("under overload low priority is left out, and comes to who comes back; an inbox gets all", async () => {
  let overloaded = true;
  await using gateway = await startGateway({ overloaded: () => overloaded });
  const ann = await gateway.connect("ann");
  await ann.subscribe("live:x");
  const { epoch, offset } = await ann.subscribe("chat:x");
  await publish(gateway, "live:x", 1, { priority: "low" });
  await publish(gateway, "chat:x", 2, { priority: "low" });
  await publish(gateway, "user:ann", 3, { priority: "low" });
  await publish(gateway, "chat:x", 4);
  overloaded = false;
  await publish(gateway, "live:x", 5, { priority: "low" });
  await eventually(() => pushed(ann).includes(5));
  expect(pushed(ann).sort()).toEqual([3, 4, 5]);
  expect(gateway.stats.lowPriorityDropped).toBe(2);
  const bob = await gateway.connect("bob");
  const answer = await bob.subscribe("chat:x", { recover: true, epoch, offset });
  expect((answer.publications as { data: Message }[]).map(({ data }) => data.n)).toEqual([2, 4]);
});
