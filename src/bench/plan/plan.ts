import { figureOf } from "./figures.ts";
import { PRICES } from "./prices.ts";

/** What a system must do, and assumptions about it. Rates are per second unless their names say otherwise. */
export interface PlanInput {
  /** Concurrent connections, in all regions together. */
  readonly connections: number;
  /** Messages published by services and clients together. */
  readonly messagesPerSecond: number;
  /** Average number of subscribers of a message. */
  readonly fanout: number;
  readonly messageBytes: number;
  readonly regions: number;
  /** Every connection has its own user, and so an inbox. */
  readonly inbox: boolean;
  /** How long a connection lives before it reconnects. */
  readonly sessionMinutes: number;
  /** Copies of each stream in its home region. */
  readonly replicas: number;
  /** Fraction of a processor that may be used on average. */
  readonly load: number;
  /** Spare instances as a fraction of those needed: for instances that drain, fail, or are in a lost region. */
  readonly spare: number;
  /** Most connections of one process. */
  readonly connectionsPerWorker: number;
  /** Prices, US dollars, see {@link PRICES}. */
  readonly machineMonth: number;
  readonly egressGb: number;
  readonly redisPer100k: number;
}

/** Assumptions, each of which a flag can change. Measured figures are in figures.ts. */
export const ASSUMED: PlanInput = {
  connections: 1_000_000,
  messagesPerSecond: 1_000,
  fanout: 100,
  messageBytes: 100,
  regions: 1,
  inbox: false,
  sessionMinutes: 60,
  replicas: 3,
  load: 0.5,
  spare: 0.25,
  // The most that was measured. The limit was descriptors, not memory or processors.
  connectionsPerWorker: 19_000,
  machineMonth: PRICES.machineMonth.value,
  egressGb: PRICES.egressGb.value,
  redisPer100k: PRICES.redisPer100k.value,
};

/** What the system needs, in all regions together. */
export interface Plan {
  readonly instances: number;
  readonly machines: number;
  /** Gateways: processors in use, their breakdown, and memory including the kernel's, bytes. */
  readonly cores: number;
  readonly coresIdle: number;
  readonly coresSessions: number;
  readonly coresMessages: number;
  readonly coresDeliveries: number;
  readonly gatewayBytes: number;
  readonly deliveriesPerSecond: number;
  readonly egressBytesPerSecond: number;
  /** Connections opened, and closed, each second. */
  readonly sessionsPerSecond: number;
  /** Messages that nats-servers receive and send to gateways, and the processors and servers for them. */
  readonly natsMessagesPerSecond: number;
  readonly natsCores: number;
  readonly natsServers: number;
  /** Most subjects that gateways listen on for inboxes. */
  readonly inboxSubjects: number;
  readonly redisIdlePerSecond: number;
  readonly redisPerSecond: number;
  readonly redisCores: number;
  /** Memory of NATS and Redis for connections, bytes. */
  readonly stackBytes: number;
  readonly dollars: {
    readonly gateways: number;
    readonly nats: number;
    readonly redis: number;
    readonly egress: number;
    readonly total: number;
  };
  /** The kind of Redis. */
  readonly redis: string;
  /** Warnings: where the plan goes beyond what was measured, or beyond what one component can do. */
  readonly limits: readonly string[];
}

const US = 1e6;
const MONTH_SECONDS = 730 * 3_600;
/** Overhead of a small frame on the wire: push, frame, TLS record, TCP and IP. */
const WIRE_BYTES = 150;
const { upstash } = PRICES;

/** Works out what a system needs. Pure: the same input gives the same plan. */
export function plan(input: PlanInput): Plan {
  const { connections, messagesPerSecond, fanout, inbox } = input;
  const sessionsPerSecond = connections / (input.sessionMinutes * 60);
  const deliveriesPerSecond = messagesPerSecond * fanout;
  const egressBytesPerSecond = deliveriesPerSecond * (input.messageBytes + WIRE_BYTES);

  const gateways = gatewaysFor(input, { sessionsPerSecond, deliveriesPerSecond });
  const nats = natsFor(input, { instances: gateways.instances, sessionsPerSecond });
  const redisIdlePerSecond = gateways.instances * figureOf("instanceRedis");
  const redisPerSecond =
    redisIdlePerSecond +
    sessionsPerSecond * (figureOf("sessionRedis") + (inbox ? figureOf("inboxRedis") : 0));
  const redisCores = (redisPerSecond * figureOf("redisCommandUs")) / US;
  const stackBytes = connections * figureOf(inbox ? "inboxStackBytes" : "stackBytes");
  const redis = redisFor(input, redisPerSecond, redisCores, stackBytes);

  const dollars = {
    gateways: gateways.machines * input.machineMonth,
    nats: nats.natsServers * input.machineMonth,
    redis: redis.dollars,
    egress: ((egressBytesPerSecond * MONTH_SECONDS) / 1e9) * input.egressGb,
  };
  const made = {
    ...gateways,
    deliveriesPerSecond,
    egressBytesPerSecond,
    sessionsPerSecond,
    ...nats,
    inboxSubjects: inbox ? connections : 0,
    redisIdlePerSecond,
    redisPerSecond,
    redisCores,
    stackBytes,
    dollars: { ...dollars, total: dollars.gateways + dollars.nats + dollars.redis + dollars.egress },
    redis: redis.what,
  };
  return { ...made, limits: limits(input, made) };
}

/** Gateway processes, the machines for them, and what they use. */
function gatewaysFor(
  input: PlanInput,
  { sessionsPerSecond, deliveriesPerSecond }: Pick<Plan, "sessionsPerSecond" | "deliveriesPerSecond">,
) {
  const { connections, messagesPerSecond, fanout, regions, inbox } = input;
  const bytesEach = figureOf(inbox ? "inboxConnectionBytes" : "connectionBytes") + figureOf("socketBytes");
  const coresIdle = (connections * figureOf("idleUs")) / US;
  const coresSessions = (sessionsPerSecond * figureOf("sessionUs")) / US;
  const coresDeliveries = (deliveriesPerSecond * figureOf("deliveryUs")) / US;
  const byMemory =
    (PRICES.machineMonth.bytes * MEMORY_SHARE) / PRICES.machineMonth.cpus - figureOf("processBytes");
  const most = Math.max(1, Math.min(input.connectionsPerWorker, Math.floor(byMemory / bytesEach)));
  let instances = Math.max(2 * regions, Math.ceil((connections * (1 + input.spare)) / most));
  let coresMessages = 0;
  // More instances receive more copies of each message, which may take more instances again. The loop ends because
  // a message never has more copies than subscribers.
  for (;;) {
    coresMessages = (messagesPerSecond * instancesReached(instances, fanout) * figureOf("messageUs")) / US;
    const cores = coresIdle + coresSessions + coresDeliveries + coresMessages;
    const needed = Math.ceil((cores * (1 + input.spare)) / input.load);
    if (needed <= instances) break;
    instances = needed;
  }
  return {
    instances,
    machines: Math.ceil(instances / PRICES.machineMonth.cpus),
    cores: coresIdle + coresSessions + coresDeliveries + coresMessages,
    coresIdle,
    coresSessions,
    coresMessages,
    coresDeliveries,
    gatewayBytes: instances * figureOf("processBytes") + connections * bytesEach,
  };
}

/** Messages through NATS, and the servers for them. */
function natsFor(
  input: PlanInput,
  { instances, sessionsPerSecond }: Pick<Plan, "instances" | "sessionsPerSecond">,
) {
  const { messagesPerSecond, regions, inbox } = input;
  const copies = messagesPerSecond * instancesReached(instances, input.fanout);
  const events = sessionsPerSecond * (figureOf("sessionNats") + (inbox ? figureOf("inboxNats") : 0));
  // Each replica in the home region stores a message, and so does every other region once.
  const stores = input.replicas + regions - 1;
  const natsCores =
    (messagesPerSecond * stores * figureOf("storedUs") + (copies + events) * figureOf("natsMessageUs")) / US;
  return {
    natsMessagesPerSecond: messagesPerSecond + copies + events,
    natsCores,
    natsServers: Math.max(3 * regions, Math.ceil(natsCores / input.load / PRICES.machineMonth.cpus)),
  };
}

/** Part of a machine's memory that gateways may fill. */
const MEMORY_SHARE = 0.7;

/** How many of `all` instances have at least one of `fanout` subscribers, if these are spread at random. */
function instancesReached(all: number, fanout: number): number {
  return all * (1 - (1 - 1 / all) ** fanout);
}

function redisFor(input: PlanInput, perSecond: number, cores: number, bytes: number) {
  if (perSecond <= upstash.commandsPerSecond) {
    const asYouGo = ((perSecond * MONTH_SECONDS) / 100_000) * input.redisPer100k;
    const fixed = upstash.fixed.find((one) => one.bytes >= bytes);
    if (fixed && fixed.dollars < asYouGo)
      return { what: `Upstash, fixed ${fixed.name}`, dollars: fixed.dollars };
    return { what: "Upstash, pay as you go", dollars: asYouGo };
  }
  const primaries = Math.ceil(cores / input.load);
  return {
    what: `own Redis: ${primaries} × 2 servers`,
    dollars: primaries * 2 * input.machineMonth,
  };
}

function limits(input: PlanInput, made: Omit<Plan, "limits">): string[] {
  const found: string[] = [];
  if (made.redisPerSecond > upstash.commandsPerSecond) {
    found.push(
      `Redis: above the ${upstash.commandsPerSecond.toLocaleString("en")} commands a second of Upstash's plans with a list price`,
    );
  }
  if (made.redisCores > input.load) {
    found.push(
      "Redis: more than one primary carries; the presence driver knows one keyspace, so this is several systems",
    );
  }
  if (input.messagesPerSecond * figureOf("storedUs") > input.load * US) {
    found.push(
      "JetStream: more stored messages than one stream's leader carries; spread namespaces and partitions",
    );
  }
  if (made.instances > figureOf("mostInstances")) {
    found.push(
      `NATS: ${made.instances.toLocaleString("en")} client connections, more than in the largest run`,
    );
  }
  if (input.connections > figureOf("mostConnections")) {
    found.push("connections: extrapolated from runs on one machine; nothing of this size was run");
  }
  if (input.regions > 1)
    found.push("regions: links between them cost money and time that is not in the table");
  return found;
}
