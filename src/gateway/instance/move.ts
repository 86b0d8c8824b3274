import { z } from "zod";
import { Closes, CommandError, Errors } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";
import type { Audit } from "../../events/shapes.ts";
import type { EventPublisher } from "../membership/events.ts";
import type { Session } from "../session/session.ts";
import { AddressSet, isNetwork } from "./address-set.ts";
import { closeInWaves, shuffled } from "./waves.ts";

/** Connections a second where the request names no pace. */
const RATE = 200;

/** What the server API, requests on `rtctl.move` and the command line ask for. */
export const moveRequest = z.strictObject({
  instance: z.string().min(1).max(128).describe("The instance that lets go, as `info` names it."),
  share: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe("Part of its connections, or of those that `user` and `address` name."),
  user: z.string().min(1).optional().describe("Only connections of this user."),
  address: z
    .string()
    .refine(isNetwork, "an IP address, or a range such as 192.0.2.0/24")
    .optional()
    .describe("Only connections from this address, or a range such as `192.0.2.0/24`."),
  per_second: z.int().min(1).max(10_000).default(RATE).describe("Connections closed in a second."),
});

export type MoveRequest = z.infer<typeof moveRequest>;

/** What an instance has begun. */
export interface Move {
  readonly connections: number;
  /** How long it will take. */
  readonly seconds: number;
}

/** What an instance answers. */
export const answerShape = z.union([
  z.object({ connections: z.int().min(0), seconds: z.number().min(0) }),
  z.object({ busy: z.literal(true) }),
]);

/** What {@link Moves} needs of its instance. */
export interface MovesParts {
  readonly instance: string;
  readonly sessions: ReadonlyMap<string, Session>;
  readonly events: Pick<EventPublisher, "audited">;
  readonly log: Logger;
}

/** Lets connections of an instance go, so that they come back elsewhere: one request after the other. */
export class Moves {
  readonly #parts: MovesParts;
  #busy = false;

  constructor(parts: MovesParts) {
    this.#parts = parts;
  }

  /** Begins to close connections, in waves; audited. */
  begin({ share, user, address, per_second: pace }: MoveRequest): Move | { busy: true } {
    if (this.#busy) return { busy: true };
    const { instance, sessions, events, log } = this.#parts;
    const among = shuffled([...sessions.values()].filter(fits(user, address)));
    const leaving = among.slice(0, Math.ceil(among.length * share));
    this.#busy = true;
    const close = (session: Session) => session.close(Closes.forceReconnect);
    void closeInWaves(leaving, pace, { close }).finally(() => {
      this.#busy = false;
    });
    const begun = { connections: leaving.length, seconds: Math.ceil(leaving.length / pace) };
    const audit: Audit = {
      ...{ action: "moved", kind: "connections", target: instance, share },
      ...(user && { user }),
      ...(address && { address }),
      ...begun,
    };
    events.audited(audit);
    log.info("audit", audit);
    return begun;
  }
}

function fits(user: string | undefined, address: string | undefined): (session: Session) => boolean {
  const addresses = new AddressSet();
  if (address !== undefined) addresses.add(address);
  return (session) =>
    session.state === "open" &&
    (user === undefined || session.user === user) &&
    (address === undefined || addresses.has(session.handshake.ip));
}

/** What an instance has answered. @throws CommandError notAvailable: none of that name answers, or it moves others already */
export function moveOf(answer: z.infer<typeof answerShape> | undefined): Move {
  if (!answer) throw new CommandError(Errors.notAvailable, "no instance of that name answers");
  if ("busy" in answer) throw new CommandError(Errors.notAvailable, "it moves connections already");
  return answer;
}
