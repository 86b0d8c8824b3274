import type { Socket } from "bun";
import { Sequence } from "./sequence.ts";

/** What a client sends when it connects: its token, and the position to resume from. */
export interface Connecting {
  readonly token: string;
  /** "" before the first subscription, when there is nothing to recover. */
  readonly epoch: string;
  readonly offset: number;
}

/**
 * One simulated client: a few plain fields, because a worker holds tens of thousands. Its {@link Swarm} does all its
 * work.
 */
export class Client {
  /** Its number among all clients of the run. */
  readonly number: number;
  /** `away`: not connected, temporarily or for good; `upgrading`: from dialing until the 101 arrives. */
  state: "away" | "upgrading" | "joining" | "joined" = "away";
  socket: Socket<Client> | undefined;
  /** The beginning of an incomplete frame. */
  rest: Buffer | undefined;
  /** When it was dialed, or was due to be. */
  dialedMs = 0;
  /** Messages due before this time are history, not live. */
  joinedMs = 0;
  epoch = "";
  offset = 0;
  /** How often it has become somebody new. */
  life = 0;
  /** Distinct messages received, from all publishers. */
  received = 0;
  /** Numbers received from the run's own publisher. */
  service = new Sequence();
  /** Numbers received from other clients, by client number. */
  peers: Map<number, Sequence> | undefined;

  constructor(number: number) {
    this.number = number;
  }
}
