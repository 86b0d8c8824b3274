import type { Socket } from "bun";

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
export class Client implements Connecting {
  readonly token: string;
  /** `away`: not connected, for now or for good; `upgrading`: waits for the 101, dialing included. */
  state: "away" | "upgrading" | "joining" | "joined" = "away";
  socket: Socket<Client> | undefined;
  /** The beginning of a frame whose rest has not come yet. */
  rest: Buffer | undefined;
  dialedMs = 0;
  epoch = "";
  offset = 0;
  /** Number of the newest message received. */
  seen = 0;

  constructor(token: string) {
    this.token = token;
  }
}
