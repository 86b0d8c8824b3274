import type { Socket } from "bun";
import { Sequence } from "./sequence.ts";

/** What identifies a client to its server, and where it wants to go on. */
export interface Connecting {
  readonly token: string;
  /** "" before its first subscription: then nothing is recovered. */
  readonly epoch: string;
  readonly offset: number;
}

/**
 * One simulated client: a few plain fields, because a worker holds tens of thousands. Everything it does is done by
 * its {@link Swarm}.
 */
export class Client {
  /** Its number among all clients of the run. */
  readonly number: number;
  /** `away`: not connected, for now or for good; `upgrading`: waits for the 101, dialing included. */
  state: "away" | "upgrading" | "joining" | "joined" = "away";
  socket: Socket<Client> | undefined;
  /** The beginning of a frame whose rest has not come yet. */
  rest: Buffer | undefined;
  /** When it was dialed, or was due to be. */
  dialedMs = 0;
  /** Messages due before this are no live ones. */
  joinedMs = 0;
  epoch = "";
  offset = 0;
  /** Different messages received, whoever published them. */
  received = 0;
  /** What it has heard of the run's own publisher. */
  readonly service = new Sequence();
  /** What it has heard of other clients, by their number. */
  peers: Map<number, Sequence> | undefined;

  constructor(number: number) {
    this.number = number;
  }
}
