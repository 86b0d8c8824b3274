import { expect, test } from "bun:test";
import { Client } from "../../src/bench/load/client/client.ts";
import { Ledger } from "../../src/bench/load/client/ledger.ts";
import { Population } from "../../src/bench/load/client/turnover.ts";
import { Tally } from "../../src/bench/tally.ts";

/** Clients that come and go: what each must have got, and who is next. */

const EVERY_MS = 100;
const START_MS = 10_000;

/** A client that is there since `joinedMs`, and has got these numbers. */
function chain(joinedMs: number, numbers: readonly number[]) {
  const tally = new Tally();
  const ledger = new Ledger(tally);
  ledger.everyMs = EVERY_MS;
  const client = new Client(0);
  client.state = "joined";
  client.joinedMs = START_MS + joinedMs;
  for (const n of numbers) {
    const dueMs = START_MS + n * EVERY_MS;
    ledger.received(client, { kind: "message", n, dueMs, offset: n }, dueMs + 1);
  }
  return { tally, ledger, client };
}

const lost = (joinedMs: number, numbers: readonly number[], newest: number) => {
  const { tally, ledger, client } = chain(joinedMs, numbers);
  ledger.settleChains([client], newest);
  return tally.counts.lost;
};

test("somebody new begins anywhere, and has missed nothing that was due before it was there", () => {
  expect(lost(450, [5, 6, 7], 7)).toBe(0);
  expect(lost(450, [5, 7], 7)).toBe(1);
  expect(lost(450, [5, 6], 8)).toBe(2);
  // 5 and 6 were due after it had joined.
  expect(lost(450, [7], 7)).toBe(2);
});

test("one that became somebody else settles what it lacked, and starts anew", () => {
  const { tally, ledger, client } = chain(50, [1, 2, 4]);
  client.epoch = "e";
  ledger.renew(client);
  expect(tally.counts.lost).toBe(1);
  expect(client).toMatchObject({ epoch: "", offset: 0, life: 1 });
  expect(client.service.newest).toBe(0);
});

test("clients leave in the order in which they came, and those who were away longest come back", async () => {
  const clients = Array.from({ length: 6 }, (_, number) => new Client(number));
  for (const client of clients.slice(0, 4)) client.state = "joined";
  const left: number[] = [];
  const came: number[] = [];
  let refusals = 1;
  const population = new Population(clients, {
    hangUp(client) {
      client.state = "away";
      left.push(client.number);
    },
    dial(client, dueMs) {
      came.push(client.number);
      client.dialedMs = dueMs - 1_000;
      client.state = refusals-- > 0 ? "away" : "joined";
    },
    renew: (client) => void client.life++,
    thrownOut: () => [],
  });
  const turnover = { seconds: 0.2, leavePerSecond: 60, comePerSecond: 60, newcomers: 0, everyMs: EVERY_MS };
  await population.change(turnover, new AbortController().signal);
  expect(left.slice(0, 4)).toEqual([0, 1, 2, 3]);
  // The one that was refused tries again.
  expect(came.slice(0, 3)).toEqual([4, 4, 5]);
  expect(clients.every(({ life }) => life === 0)).toBe(true);
});
