import { connect, type Socket } from "node:net";
import { RawWebSocket } from "../helpers/raw-websocket.ts";
import { connectionToken } from "../helpers/tokens.ts";
import { type InstanceFault, joined, once, type Victim } from "./victim.ts";

/** Descriptors of an instance that is to run out of them. */
const DESCRIPTORS = 256;
/** Of them, how many get a new connection at once: so few that nearly all stay taken. */
const RENEWED = 6;
/** Rounds until they are counted again. */
const ROUNDS_A_COUNT = 8;
/** Events that an instance keeps while NATS is away, at the least: one for each connection is added. */
const MANY_EVENTS = 25_000;
const BATCH = 500;

/** A client that subscribes to the channel, and reads nothing from then on. */
async function deaf({ stack, instance }: Victim, user: string, channel: string): Promise<void> {
  const socket = stack.use(await RawWebSocket.open(instance.websocket));
  socket.send(JSON.stringify({ id: 1, connect: { token: connectionToken({ user }) } }));
  await socket.take(1);
  socket.send(JSON.stringify({ id: 2, subscribe: { channel } }));
  await socket.take(1);
  socket.pause();
}

/** Plain TCP connections to the instance, which say nothing. */
class Idle implements Disposable {
  readonly #open = new Set<Socket>();

  /** Opens as many as are missing, and puts new ones in the place of the oldest: who says nothing is cut off after 12 s. */
  fill(url: string, count: number): void {
    const { hostname: host, port } = new URL(url);
    for (const oldest of [...this.#open].slice(0, this.#open.size < count ? 0 : RENEWED)) {
      oldest.destroy();
      this.#open.delete(oldest);
    }
    while (this.#open.size < count) {
      const socket = connect({ host, port: Number(port) });
      this.#open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#open.delete(socket));
    }
  }

  [Symbol.dispose](): void {
    for (const socket of this.#open) socket.destroy();
  }
}

/** Connections that say nothing, and how many of them there are to be. */
const idle = new WeakMap<Victim, { readonly sockets: Idle; count: number }>();

/** Takes all but a few descriptors. What was open for a moment when they were counted is made up for later. */
function takeDescriptors(victim: Victim, round: number): void {
  const own = idle.get(victim) ?? { sockets: victim.stack.use(new Idle()), count: 0 };
  idle.set(victim, own);
  if (round % ROUNDS_A_COUNT === 0) {
    const cwd = `/proc/${victim.instance.pid}/fd`;
    const used = [...new Bun.Glob("*").scanSync({ cwd, onlyFiles: false })].length;
    own.count += Math.max(0, Math.floor(DESCRIPTORS * 0.96) - used);
  }
  own.sockets.fill(victim.instance.url, own.count);
}

/** Faults that clients make. */
export const FAULTS_OF_CLIENTS: readonly InstanceFault[] = [
  {
    alert: "TrunklineSlowConsumers",
    what: "clients follow a loud channel, and do not read",
    options: { config: { limits: { backpressure: "256KiB" } } },
    async make(victim, round) {
      const channel = `chat:loud-${round}`;
      for (let n = 0; n < 4; n++) await deaf(victim, `deaf-${round}-${n}`, channel);
      const data = "x".repeat(60_000);
      for (let n = 0; n < 120; n++) await victim.instance.api("publish", { channel, data });
    },
  },
  {
    alert: "TrunklineEventsDropped",
    what: "NATS is killed, and clients send more than the queue of events takes",
    options: {
      config: {
        limits: {
          ...{ connections: 100, commandsPerSecond: 0, commandsPerUserPerSecond: 0 },
          ...{ bytesPerSecond: 0, bytesInPerUserPerSecond: 0 },
        },
      },
    },
    make: once(async (victim) => {
      const { centrifuge } = await joined(victim, "ann");
      await victim.nats.kill();
      for (let n = 0; n < MANY_EVENTS; n += BATCH) {
        await Promise.all(Array.from({ length: BATCH }, () => centrifuge.send("x")));
      }
    }),
  },
  {
    alert: "TrunklineDescriptors",
    what: "connections that say nothing take the descriptors",
    options: { descriptors: DESCRIPTORS },
    make: async (victim, round) => takeDescriptors(victim, round),
  },
];
