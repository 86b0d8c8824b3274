import { expect, test } from "bun:test";
import { bench, NOTHING_WRONG } from "../helpers/bench.ts";

const LOADS = {
  rooms: ["-n", "25", "--room-size", "10", "--rate", "200"],
  fanin: ["-n", "20", "--channels", "3", "--rate", "200"],
  inbox: ["-n", "20", "--rate", "100"],
  churn: ["-n", "20", "--rate", "40"],
  changing: ["-n", "40", "--changes", "20", "--rate", "20"],
};
const EXPECTED: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  rooms: { joined: 25, published: 25 * (8 + 8), refused: 0, unanswered: 0 },
  fanin: { joined: 23, published: 20 * (10 + 10), refused: 0, unanswered: 0 },
  inbox: { joined: 20, recovered: 10, unrecovered: 0, replayed: 10 * 5 },
  churn: { joined: 20, unrecovered: 0 },
  changing: { joined: 40, unrecovered: 0 },
};

for (const [scenario, flags] of Object.entries(LOADS)) {
  test(`${scenario}: everything arrives once and in order, through JetStream and two instances`, async () => {
    const common = ["--seconds", "1", "--rounds", "1", "--target", "trunkline", "--instances", "2", "--json"];
    const { code, out } = await bench(scenario, ...flags, ...common);
    expect(code).toBe(0);
    const [{ instances, via, rounds }] = JSON.parse(out).targets;
    expect({ instances, via }).toEqual({ instances: 2, via: "NATS" });
    expect(rounds[0].figures).toMatchObject({ ...NOTHING_WRONG, ...EXPECTED[scenario] });
  }, 30_000);
}
