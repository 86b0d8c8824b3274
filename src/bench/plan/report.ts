import { FIGURES } from "./figures.ts";
import { ASSUMED, type Plan, type PlanInput, plan } from "./plan.ts";
import { PRICES } from "./prices.ts";

const whole = (value: number) => Math.ceil(value).toLocaleString("en");
const some = (value: number) => (value >= 100 ? whole(value) : String(Number(value.toPrecision(2))));
const bytes = (value: number) => `${some(value / 1e9)} GB`;
const dollars = (value: number) => `$${Math.round(value).toLocaleString("en")}`;

/** Lines of a plan, in order: label, and the format of the value. */
const ROWS: readonly (readonly [label: string, text: (plan: Plan, input: PlanInput) => string])[] = [
  ["deliveries a second", ({ deliveriesPerSecond }) => whole(deliveriesPerSecond)],
  ["connections that come and go, a second", ({ sessionsPerSecond }) => whole(sessionsPerSecond)],
  ["instances (one processor each)", ({ instances }) => whole(instances)],
  ["machines with 2 CPUs, 4 GB", ({ machines }) => whole(machines)],
  ["processors in use: all", ({ cores }) => some(cores)],
  ["– idle connections and pings", ({ coresIdle }) => some(coresIdle)],
  ["– comings and goings", ({ coresSessions }) => some(coresSessions)],
  ["– messages heard", ({ coresMessages }) => some(coresMessages)],
  ["– deliveries", ({ coresDeliveries }) => some(coresDeliveries)],
  ["memory of gateways, kernel included", ({ gatewayBytes }) => bytes(gatewayBytes)],
  ["sent to clients", ({ egressBytesPerSecond }) => `${some((egressBytesPerSecond * 8) / 1e6)} Mbit/s`],
  ["NATS messages a second, in and out", ({ natsMessagesPerSecond }) => whole(natsMessagesPerSecond)],
  ["NATS servers", ({ natsServers }) => whole(natsServers)],
  ["– their processors in use", ({ natsCores }) => some(natsCores)],
  ["subjects of inboxes", ({ inboxSubjects }) => whole(inboxSubjects)],
  ["Redis commands a second, idle", ({ redisIdlePerSecond }) => whole(redisIdlePerSecond)],
  ["Redis commands a second, all", ({ redisPerSecond }) => whole(redisPerSecond)],
  ["memory of NATS and Redis for connections", ({ stackBytes }) => bytes(stackBytes)],
  ["Redis (2 servers: primary and replica)", ({ redis }) => redis],
  ["a month: gateways", (made) => dollars(made.dollars.gateways)],
  ["– NATS", (made) => dollars(made.dollars.nats)],
  ["– Redis", (made) => dollars(made.dollars.redis)],
  ["– transfer to clients", (made) => dollars(made.dollars.egress)],
  ["– all", (made) => dollars(made.dollars.total)],
  [
    "– for 1,000 connections",
    (made, { connections }) => `$${((made.dollars.total / connections) * 1000).toFixed(2)}`,
  ],
];

/** Plans side by side, as rows of cells; the first row and column are labels. */
export function planTable(inputs: readonly PlanInput[]): string[][] {
  const made = inputs.map((input) => ({ input, plan: plan(input) }));
  return [
    ["connections", ...inputs.map(({ connections }) => connections.toLocaleString("en"))],
    ...ROWS.map(([label, text]) => [label, ...made.map((one) => text(one.plan, one.input))]),
  ];
}

/** Inputs of a plan: assumptions, measured figures and prices, each with its source. */
export function planNotes(input: PlanInput): string[] {
  const assumed = Object.entries(input).map(([name, value]) => `${name} ${value.toLocaleString("en")}`);
  return [
    `assumed: ${assumed.join(", ")}`,
    ...Object.values(FIGURES).map(
      ({ what, value, source }) => `${what}: ${value.toLocaleString("en")} (${source})`,
    ),
    ...Object.values(PRICES).map((price) => {
      const value = "value" in price ? `: $${price.value}` : "";
      return `${price.what}${value} (${price.source}; check)`;
    }),
  ];
}

/**
 * Turns flags, as commander hands them over, into inputs: one for each of `connections`, with the message rate at the
 * same place in the list, or the only one given. @throws TypeError that says what is wrong
 */
export function planInputs(flags: Readonly<Record<string, unknown>>): PlanInput[] {
  const listOf = (name: "connections" | "messagesPerSecond") =>
    String(flags[name] ?? ASSUMED[name])
      .split(",")
      .map((text) => checked(name, Number(text)));
  const messages = listOf("messagesPerSecond");
  const common: Record<string, number | boolean> = {};
  for (const [name, standard] of Object.entries(ASSUMED)) {
    const flag = flags[name];
    if (flag === undefined || name === "connections" || name === "messagesPerSecond") continue;
    common[name] = typeof standard === "boolean" ? Boolean(flag) : checked(name, Number(flag));
  }
  return listOf("connections").map((connections, index, { length }) => {
    const messagesPerSecond = messages.length === 1 ? messages[0] : messages[index];
    if (messagesPerSecond === undefined || (messages.length !== 1 && messages.length !== length)) {
      throw new TypeError("--messages-per-second: give one number, or one for each of --connections");
    }
    return { ...ASSUMED, ...common, connections, messagesPerSecond };
  });
}

const PARTS = ["load", "spare"];
const MONEY = ["machineMonth", "egressGb", "redisPer100k"];
const WHOLE = ["connections", "regions", "replicas", "connectionsPerWorker"];

function checked(name: string, value: number): number {
  const wrong = (what: string) => {
    const flag = name.replace(/[A-Z]|(?<=[a-z])\d/g, (char) => `-${char.toLowerCase()}`);
    return new TypeError(`--${flag}: it must be ${what}`);
  };
  if (PARTS.includes(name)) {
    if (!(value >= 0.01 && value <= 1)) throw wrong("a number from 0.01 to 1");
  } else if (MONEY.includes(name)) {
    if (!(value >= 0 && value <= 1e6)) throw wrong("a sum of dollars from 0");
  } else if (!(value >= 1 && value <= 1e12)) throw wrong("a number from 1");
  if (WHOLE.includes(name) && !Number.isInteger(value)) throw wrong("a whole number");
  return value;
}
