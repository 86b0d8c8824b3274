import process from "node:process";
import type { RunOptions } from "../src/bench/load/run.ts";
import { type ScenarioName, scenarios } from "../src/bench/load/scenario/scenario.ts";
import type { TargetKind } from "../src/bench/load/target/target.ts";
import { peers } from "../src/bench/load/target/targets.ts";
import { trunkline } from "../src/bench/load/target/trunkline.ts";

/** One part of the results: a run, and why it is there. */
export interface Case {
  readonly id: string;
  readonly title: string;
  readonly why: string;
  readonly options: RunOptions;
  readonly kinds: readonly TargetKind[];
}

type Plan = Omit<Case, "options" | "kinds"> &
  Partial<RunOptions> & {
    readonly scenario: ScenarioName;
    readonly kinds: readonly TargetKind[];
  };

/** The product as it runs in earnest: with JetStream on disk and a Redis, both on this machine. */
const own = trunkline(process.env, "stack");
const alike = [peers["centrifugo-redis"], peers.centrifugo, peers["centrifuge-go"]];
const all = [peers.bun, own, peers.ws, peers.socketio, ...alike];
/** Those that know users and keep messages. */
const gateways = [own, ...alike];

/** Where a budget is about what goes on for long: in the first seconds every runtime here compiles what it does. */
const LONG = 15;

/** Where heartbeats are a part of the cost: everybody is pinged twice in this time (`ping.interval`, the peers' too). */
const TWO_PINGS = 50;

const plans: readonly Plan[] = [
  {
    id: "idle",
    title: "Idle connections",
    why: "What a connection costs that is there and says nothing: nearly all of them, nearly always.",
    scenario: "idle",
    clients: 10_000,
    seconds: TWO_PINGS,
    kinds: all,
  },
  {
    id: "idle-inbox",
    title: "Idle connections with an inbox each",
    why: "The same, with a user and a channel of one's own for every connection.",
    scenario: "idle",
    clients: 10_000,
    inbox: true,
    seconds: TWO_PINGS,
    kinds: gateways,
  },
  {
    id: "latency",
    title: "Latency of one channel",
    why: "Few clients and a steady trickle: how long a message takes when nothing else is to do.",
    scenario: "broadcast",
    clients: 100,
    ratePerSecond: 100,
    seconds: LONG,
    kinds: all,
  },
  {
    id: "broadcast",
    title: "Broadcast",
    why: "One channel with everybody in it; every message becomes thousands.",
    scenario: "broadcast",
    clients: 5_000,
    ratePerSecond: 10,
    seconds: LONG,
    kinds: all,
  },
  {
    id: "broadcast-50k",
    title: "Broadcast to 50,000",
    why:
      "The case gateways are judged by: a message each 100 ms to 50,000 clients, 500,000 deliveries a second. More " +
      "than this machine can do one write at a time, so that it shows what happens beyond the limit.",
    scenario: "broadcast",
    clients: 50_000,
    ratePerSecond: 10,
    rounds: 1,
    kinds: [peers.bun, own],
  },
  {
    id: "rooms",
    title: "Rooms",
    why: "Many small channels, whose members publish to each other.",
    scenario: "rooms",
    clients: 2_000,
    ratePerSecond: 1_000,
    kinds: all,
  },
  {
    id: "fanin",
    title: "Fan-in",
    why: "Everybody publishes to a few channels; for a gateway that keeps messages, accepted means stored.",
    scenario: "fanin",
    clients: 1_000,
    ratePerSecond: 2_000,
    kinds: all,
  },
  {
    id: "inbox",
    title: "Inboxes",
    why: "Services write to single users. Every other one is away and must find everything on return.",
    scenario: "inbox",
    clients: 2_000,
    ratePerSecond: 2_000,
    kinds: gateways,
  },
  {
    id: "churn",
    title: "Churn",
    why: "Connections that come and go all the time, as in trains and lifts, while messages go on.",
    scenario: "churn",
    clients: 1_000,
    ratePerSecond: 300,
    rounds: 1,
    kinds: all,
  },
  {
    id: "changing",
    title: "Clients that change all the time",
    why:
      "One channel with presence. Of 10,000 clients 100 a second leave and as many come, every other one to resume after ten " +
      "seconds; a message goes to all each 100 ms. Each client checks that it got every message.",
    scenario: "changing",
    clients: 10_000,
    changesPerSecond: 100,
    rounds: 1,
    seconds: LONG,
    kinds: [peers.bun, own, peers["centrifugo-redis"], peers.ws],
  },
  {
    id: "changing-50k",
    title: "50,000 clients that change all the time",
    why:
      "The same with 50,000 clients, of whom 500 a second leave and others come, for a minute: 500,000 deliveries a second, " +
      "more than others can do here.",
    scenario: "changing",
    clients: 50_000,
    changesPerSecond: 500,
    rounds: 1,
    seconds: 60,
    kinds: [peers.bun, own],
  },
  {
    id: "storm",
    title: "Reconnect storm",
    why: "Everybody is cut off, misses ten messages, and comes back at once.",
    scenario: "storm",
    clients: 10_000,
    kinds: [peers.bun, ...gateways],
  },
];

/** Their rate is what they are about. */
const AS_IT_IS: readonly ScenarioName[] = ["broadcast", "changing"];

/** All parts of the results; `quick`: a tenth of the size, to see that everything works. */
export function suite(quick: boolean): Case[] {
  return plans.map(({ id, title, why, kinds, ...given }) => {
    const { scenario, clients = 1_000, ratePerSecond = scenarios[scenario].ratePerSecond } = given;
    const options: RunOptions = {
      inbox: false,
      seconds: 4,
      rounds: 2,
      roomSize: 10,
      changesPerSecond: Math.ceil(clients / 100),
      channels: 4,
      ...given,
      clients,
      ratePerSecond,
    };
    const small = {
      ...options,
      clients: Math.max(100, clients / 10),
      ratePerSecond: AS_IT_IS.includes(scenario) ? ratePerSecond : Math.max(1, ratePerSecond / 10),
      changesPerSecond: Math.max(1, options.changesPerSecond / 10),
      seconds: 1,
      rounds: 1,
    };
    return { id, title, why, kinds, options: quick ? small : options };
  });
}
