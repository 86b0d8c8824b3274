import { describe, expect, test } from "bun:test";
import type { HistoryPage } from "../../src/broker/broker.ts";
import { parseChannel } from "../../src/core/channel.ts";
import { NAMESPACE_DEFAULTS } from "../../src/core/namespace.ts";
import { Stats } from "../../src/core/stats.ts";
import { Budget, Budgets } from "../../src/gateway/instance/budget.ts";
import { Reads } from "../../src/gateway/instance/reads.ts";
import { eventually, settled } from "../gateway/time.ts";

/** Work that ends when it is told to. */
function held() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { work: () => promise, end: () => resolve() };
}

describe("a budget", () => {
  test("lets in what fits, and the rest in its order as room comes back", async () => {
    const budget = new Budget(10);
    const begun: number[] = [];
    const works = [4, 4, 4, 1].map((cost, at) => {
      const one = held();
      const done = budget.run(cost, () => {
        begun.push(at);
        return one.work();
      });
      return { ...one, done };
    });
    await settled();
    // The last would fit, and waits all the same: nobody is passed over for ever.
    expect(begun).toEqual([0, 1]);
    expect(budget.waiting).toBe(2);
    works[1]!.end();
    await settled();
    expect(begun).toEqual([0, 1, 2, 3]);
    for (const { end } of works) end();
    await Promise.all(works.map(({ done }) => done));
    expect([budget.used, budget.idle]).toEqual([0, true]);
  });

  test("gives back what failed, and takes alone what is more than there ever is", async () => {
    const budget = new Budget(10);
    await expect(budget.run(5, () => Promise.reject(new Error("gone")))).rejects.toThrow("gone");
    const [big, small] = [held(), held()];
    const first = budget.run(1_000, big.work);
    const second = budget.run(1, small.work);
    await settled();
    expect([budget.used, budget.waiting]).toEqual([10, 1]);
    big.end();
    small.end();
    await Promise.all([first, second]);
    expect(budget.idle).toBe(true);
  });

  test("for each key is forgotten with its last work", async () => {
    const budgets = new Budgets(1);
    const one = held();
    const works = ["a", "a", "b"].map((key) => budgets.run(key, 1, one.work));
    await settled();
    expect(budgets.size).toBe(2);
    one.end();
    await Promise.all(works);
    expect(budgets.size).toBe(0);
  });
});

describe("reads of history", () => {
  const channel = parseChannel("chat:a");

  function reads(limits: Partial<Record<"historyBytes" | "historyPerUserBytes", number>> = {}) {
    const asked: number[] = [];
    const waiting: (() => void)[] = [];
    const stats = new Stats();
    const namespaces = new Map([["chat", { ...NAMESPACE_DEFAULTS, name: "chat" }]]);
    const all = new Reads({
      ...{ namespaces, stats },
      limits: { historyBytes: 1e9, historyPerUserBytes: 1e9, backpressureBytes: 1_048_576, ...limits },
      broker: {
        async history(_, { limit, maxBytes }) {
          asked.push(maxBytes ?? 0);
          await new Promise<void>((resolve) => waiting.push(resolve));
          const position = { epoch: "e", offset: limit };
          return { publications: [], position, complete: false, more: false };
        },
      },
    });
    return { all, asked, waiting, stats, answer: () => waiting.shift()?.() };
  }
  const ann = (n: number) => ({ client: `c${n}`, quotaKey: "user ann", live: true });
  const used = async () => {};

  test("of one connection are two full pages at once, of one user as many as fit, of all as many as fit", async () => {
    for (const [who, limits, most] of [
      [() => ann(1), {}, 2],
      [ann, { historyPerUserBytes: 3 * 524_288 }, 3],
      [
        (n: number) => ({ client: `c${n}`, quotaKey: `user ${n}`, live: true }),
        { historyBytes: 5 * 524_288 },
        5,
      ],
    ] as const) {
      const { all, asked, answer } = reads(limits);
      const pages = Array.from({ length: 20 }, (_, n) => all.page(who(n), channel, { limit: 100 + n }, used));
      await eventually(() => asked.length === most);
      await settled();
      expect(asked).toEqual(new Array(most).fill(524_288));
      for (let ended = 0; ended < 20; ended++) {
        await eventually(() => answer !== undefined && asked.length > ended);
        answer();
      }
      await Promise.all(pages);
    }
  });

  test("a short page costs little: many of them are under way at once", async () => {
    const { all, asked, waiting } = reads();
    for (let n = 0; n < 12; n++)
      void all.page(ann(1), channel, { limit: 1, since: { epoch: "e", offset: n } }, used);
    await eventually(() => asked.length === 12);
    for (const end of waiting) end();
  });

  test("asked for at the same time are one, and what comes later is read anew", async () => {
    const { all, asked, waiting, stats } = reads();
    const pages: HistoryPage[] = [];
    const page = (n: number) =>
      all.page(ann(n), channel, { limit: 5 }, async (got) => {
        pages[n] = got;
      });
    const first = [1, 2, 3].map(page);
    await eventually(() => asked.length === 1);
    const later = page(4);
    await eventually(() => asked.length === 2);
    for (const end of waiting) end();
    await Promise.all([...first, later]);
    expect(new Set(pages.slice(1, 4)).size).toBe(1);
    expect(pages[4]).not.toBe(pages[1]!);
    expect(stats.readsShared).toBe(2);
    expect(stats.readBytesUnderWay).toBe(0);
  });

  test("a page counts until it is used, and nothing is read for who is gone", async () => {
    const { all, asked, answer } = reads({ historyBytes: 2 * 524_288 });
    const using: (() => void)[] = [];
    const use = () => new Promise<void>((done) => using.push(done));
    const who = [1, 2, 3, 4].map((n) => ({ client: `c${n}`, quotaKey: `user ${n}`, live: true }));
    const pages = who.map((reader, n) => all.page(reader, channel, { limit: 100 + n }, use));
    await eventually(() => asked.length === 2);
    answer();
    answer();
    await eventually(() => using.length === 2);
    // Read, and not sent: the others wait.
    await settled();
    expect(asked.length).toBe(2);
    who[2]!.live = false;
    for (const done of using) done();
    await eventually(() => asked.length === 3);
    answer();
    await eventually(() => using.length === 3);
    using[2]!();
    await Promise.all(pages);
    expect(asked.length).toBe(3);
  });
});
