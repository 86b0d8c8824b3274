import { createLogger } from "../../src/core/log.ts";
import { NAMESPACE_DEFAULTS, type Namespaces } from "../../src/core/namespace.ts";
import { subjects } from "../../src/core/subject.ts";
import { SimClient } from "./client.ts";
import type { Clock } from "./clock.ts";
import { channelOf, SimInstance } from "./instance.ts";
import { Judge } from "./judge.ts";
import type { Random } from "./random.ts";
import { SimServers } from "./server.ts";

/** Channels of every run. */
export const CHANNELS = 3;
/** The client that is told of gaps where it is. */
const STAYING = 3;
const VERSIONS = ["2.9.10", "2.10.29", "2.12.12"];

export interface WorldOptions {
  readonly seed: number;
  /** Of every stream, 1 or 3; default: as the seed says. */
  readonly replicas?: number | undefined;
  /** Of nats-server; default: as the seed says. */
  readonly version?: string;
}

/** Everything that one run consists of. */
export class World {
  readonly random: Random;
  readonly clock: Clock;
  readonly servers: SimServers;
  readonly judge: Judge;
  readonly instances: SimInstance[];
  readonly clients: SimClient[];
  readonly replicas: number;
  readonly weather = { lost: 0, doubled: 0, late: 0 };
  /** Times that the store went back. */
  rollbacks = 0;
  /** Times that a leader forgot something. */
  forgotten = 0;
  #published = 0;

  constructor({ seed, replicas, version: wanted }: WorldOptions, clock: Clock, random: Random) {
    this.random = random;
    this.clock = clock;
    const drawn = random.chance(0.3) ? 3 : 1;
    this.replicas = replicas ?? drawn;
    // Clusters of older servers do not keep their replicas alike.
    const picked = random.pick(this.replicas === 1 ? VERSIONS : VERSIONS.slice(1));
    const version = wanted ?? picked;
    const { weather } = this;
    this.servers = new SimServers({ clock, random, version, replicas: this.replicas, weather });
    this.judge = new Judge(this.servers);
    this.servers.lost = () => this.judge.lossHappened();
    this.judge.note(`seed ${seed}: nats-server ${version}, ${this.replicas} replicas`);
    const log = createLogger("info", ({ level, message, time: _time, ...fields }) =>
      this.judge.note(`[${level}] ${message} ${JSON.stringify(fields)}`),
    );
    this.instances = ["a", "b"].map(
      (name) => new SimInstance(name, this.servers, namespaces(this.replicas), log.with({ instance: name })),
    );
    this.clients = Array.from({ length: 4 }, (_, n) => {
      const options = { name: `client ${n}`, channel: channelOf(n % CHANNELS), stays: n === STAYING };
      return new SimClient(options, this.servers, this.judge);
    });
  }

  /** Publishes a new body: through an instance, or past them as services do. */
  publish(channel = channelOf(this.random.int(0, CHANNELS - 1))): void {
    const { random, servers, judge } = this;
    const body = String(++this.#published);
    const broker = random.pick(this.instances).broker;
    if (!broker || random.chance(0.5)) {
      const id = random.chance(0.7) ? `id-${body}` : undefined;
      servers.publish(subjects().message(channel), body, id);
      return;
    }
    const at = this.clock.now;
    broker.publish(channel, body, { id: `id-${body}` }).then(
      ({ offset }) => {
        const seq = judge.sequenceOf(offset);
        const stands = judge.pastOf(subjects().message(channel), seq - 1)[0];
        if (stands?.seq === seq && stands.body === body) return;
        if (!judge.lossSince(at))
          judge.accuse("acknowledged", `${body} is not at ${seq}, as its publisher was told`);
      },
      (error: unknown) => judge.note(`publish of ${body} failed: ${String(error)}`),
    );
  }

  get stored(): number {
    return this.#published;
  }
}

function namespaces(replicas: number): Namespaces {
  const history = { size: 10_000, ageMs: 3_600_000, recoverLimit: 10_000, replicas };
  return new Map([["keep", { ...NAMESPACE_DEFAULTS, name: "keep", history, recovery: "stream" as const }]]);
}
