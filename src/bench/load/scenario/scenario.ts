import { headcount, type Layout } from "../layout.ts";
import type { Target } from "../target/target.ts";
import { AWAY_SECONDS, changing } from "./changing.ts";
import { churn, idle } from "./connections.ts";
import { broadcast, clientsPublish } from "./messages.ts";
import { inbox, storm } from "./returns.ts";
import type { LoadOptions, Round, Stand } from "./stand.ts";

/** One thing to be measured. */
interface Scenario {
  readonly summary: string;
  /** Default of `--rate`: messages (or connects) a second in total. */
  readonly ratePerSecond: number;
  /** Default of `--seconds`. */
  readonly seconds: number;
  layout(target: Pick<Target, "channel" | "present" | "inbox">, options: LoadOptions): Layout;
  /** Clients publish themselves. */
  readonly clientsPublish: boolean;
  /** Every client has its own user, whether or not `--inbox` was given. */
  readonly users: boolean;
  run(stand: Stand): Promise<Round>;
}

const one: Scenario["layout"] = ({ channel }, { clients }) => ({ kind: "one", channel, clients });

const COMMON = { clientsPublish: false, users: false, seconds: 10 };

export const scenarios = {
  idle: {
    ...COMMON,
    summary: "connections that do nothing: how fast they come in, and what they cost",
    ratePerSecond: 1,
    layout: one,
    run: idle,
  },
  broadcast: {
    ...COMMON,
    summary: "one channel, everybody in it, one publisher",
    ratePerSecond: 10,
    layout: one,
    run: broadcast,
  },
  rooms: {
    ...COMMON,
    summary: "many small channels, whose members publish to each other",
    ratePerSecond: 1_000,
    layout: ({ channel }, { clients, roomSize }) => ({ kind: "rooms", channel, clients, size: roomSize }),
    clientsPublish: true,
    run: clientsPublish,
  },
  fanin: {
    ...COMMON,
    summary: "everybody publishes to a few channels; accepted publishes are what counts",
    ratePerSecond: 1_000,
    layout: ({ channel }, { clients, channels }) => ({ kind: "fanin", channel, clients, channels }),
    clientsPublish: true,
    run: clientsPublish,
  },
  inbox: {
    ...COMMON,
    summary: "services write to single users, of whom every other one is away and comes back",
    ratePerSecond: 1_000,
    layout: ({ inbox: prefix }, { clients }) => ({ kind: "inbox", prefix, clients }),
    users: true,
    run: inbox,
  },
  churn: {
    ...COMMON,
    summary: "one connection after the other is cut and comes back, at a fixed rate",
    ratePerSecond: 200,
    layout: one,
    run: churn,
  },
  changing: {
    ...COMMON,
    summary: "one channel with presence; some leave and others come all the time, while messages go to all",
    ratePerSecond: 10,
    layout: ({ present }, { clients, changesPerSecond }) => ({
      kind: "one",
      channel: present,
      clients: clients + Math.ceil(changesPerSecond * AWAY_SECONDS),
    }),
    run: changing,
  },
  storm: {
    ...COMMON,
    summary: "everybody is cut off, misses some messages, and comes back at once",
    ratePerSecond: 100,
    layout: one,
    run: storm,
  },
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof scenarios;

export const scenarioNames = Object.keys(scenarios) as ScenarioName[];

/** Connections of a scenario, including those of its listeners. */
export function connectionsOf(name: ScenarioName, options: LoadOptions): number {
  return headcount(scenarios[name].layout({ channel: "", present: "", inbox: "" }, options));
}
