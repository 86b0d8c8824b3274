import { type City, pairOf, roundTripMs } from "./cities.ts";
import { Line, type LineState, openWire, type Path, type Wire } from "./wire.ts";

/** Round trips between regions: as between the cities, none, or one figure for every pair, ms. */
export type Latency = "real" | "off" | number;

/** What has come over a link in one direction. */
export interface Traffic {
  /** Between the NATS servers: messages, mirrors, interest, Raft. */
  readonly nats: number;
  /** Between instances and the one Redis, where it is at the other end. */
  readonly redis: number;
}

/** The links between the regions of a world. */
export interface Links {
  /** Every pair once. */
  readonly pairs: readonly (readonly [a: string, b: string])[];
  /** Round trip of a link, ms; 0 within a region. */
  roundTripMs(a: string, b: string): number;
  /** Sets it for all links that are open and to come. */
  setLatency(latency: Latency): void;
  state(a: string, b: string): LineState;
  /** Breaks a link: connections are reset; or with `silent`, everything sent is lost and nobody is told. */
  cut(a: string, b: string, how?: "cut" | "silent"): void;
  heal(a: string, b: string): void;
  /** Bytes that have arrived in `b` from `a`. */
  bytes(from: string, to: string): Traffic;
}

type Kind = keyof Traffic;

/** A gateway of a NATS server introduces itself by name when it connects (`sendGatewayConnect` of nats-server). */
const INTRODUCTION = /^CONNECT [^\r\n]*"gateway":"([^"]+)"[^\r\n]*\r\n/;

/** The links, and how the world lays wires into them. */
export class Cables implements Links, AsyncDisposable {
  readonly pairs: readonly (readonly [string, string])[];
  readonly #cities: ReadonlyMap<string, City>;
  readonly #lines: ReadonlyMap<string, Line>;
  readonly #paths: {
    readonly kind: Kind;
    readonly from: string;
    readonly to: string;
    readonly path: Path;
  }[] = [];
  readonly #wires: Wire[] = [];
  readonly #told: (pair: string, state: LineState) => void;
  #latency: Latency = "off";

  /** @param told hears of links that are cut or healed */
  constructor(cities: readonly City[], told: (pair: string, state: LineState) => void) {
    this.#cities = new Map(cities.map((city) => [city.code, city]));
    this.#told = told;
    this.pairs = cities.flatMap((a, index) => cities.slice(index + 1).map((b) => [a.code, b.code] as const));
    this.#lines = new Map(
      this.pairs.map(([a, b]) => [pairOf(a, b), new Line(() => this.roundTripMs(a, b) / 2)]),
    );
  }

  /**
   * A wire to a region's NATS gateway, for all other regions. Servers tell each other the addresses they know, so one
   * for each pair would be used by everybody; who it is that connects shows in the first they say.
   * @returns the port to connect to
   */
  async layGateway(to: string, target: number): Promise<number> {
    const others = [...this.#cities.keys()].filter((code) => code !== to);
    const paths = new Map(others.map((from) => [from, this.#path("nats", from, to)]));
    return await this.#open(target, (head) => {
      const [, from] = INTRODUCTION.exec(head) ?? [];
      if (from !== undefined) return paths.get(from) ?? null;
      return head.includes("\r\n") ? null : undefined;
    });
  }

  /** A wire from one region to the Redis in another one. @returns the port to connect to */
  async layRedis(from: string, to: string, target: number): Promise<number> {
    return await this.#open(target, this.#path("redis", from, to));
  }

  roundTripMs(a: string, b: string): number {
    if (a === b || this.#latency === "off") return 0;
    return this.#latency === "real" ? roundTripMs(this.#city(a), this.#city(b)) : this.#latency;
  }

  setLatency(latency: Latency): void {
    this.#latency = latency;
  }

  state(a: string, b: string): LineState {
    return this.#line(a, b).state;
  }

  cut(a: string, b: string, how: "cut" | "silent" = "cut"): void {
    this.#set(a, b, how);
  }

  heal(a: string, b: string): void {
    this.#set(a, b, "open");
  }

  bytes(from: string, to: string): Traffic {
    this.#line(from, to);
    const traffic = { nats: 0, redis: 0 };
    for (const { kind, path, ...ends } of this.#paths) {
      if (ends.from === from && ends.to === to) traffic[kind] += path.bytes.in;
      if (ends.from === to && ends.to === from) traffic[kind] += path.bytes.out;
    }
    return traffic;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#wires.map((wire) => wire.close()));
  }

  async #open(target: number, path: Parameters<typeof openWire>[1]): Promise<number> {
    const wire = await openWire(target, path);
    this.#wires.push(wire);
    return wire.port;
  }

  #path(kind: Kind, from: string, to: string): Path {
    const path = { line: this.#line(from, to), bytes: { in: 0, out: 0 } };
    this.#paths.push({ kind, from, to, path });
    return path;
  }

  #set(a: string, b: string, state: LineState): void {
    this.#line(a, b).state = state;
    this.#told(pairOf(a, b), state);
  }

  #line(a: string, b: string): Line {
    const line = this.#lines.get(pairOf(a, b));
    if (!line) throw new RangeError(`no link between ${a} and ${b} in this world`);
    return line;
  }

  #city(code: string): City {
    return this.#cities.get(code)!;
  }
}
