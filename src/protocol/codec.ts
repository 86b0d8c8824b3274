import type { CloseCode } from "../core/errors.ts";
import type { ClientInfo, Publication } from "../core/publication.ts";
import type { Command, DecodeFailure } from "./command.ts";

/** One WebSocket message: text or bytes. */
export type Frame = string | Uint8Array;

/**
 * A wire format, as far as every family of clients has it: bytes to commands, and what the gateway itself says to
 * clients. Answers to commands are the family's own. Stateless and shared by every connection that speaks it.
 *
 * A publication is encoded once (`publication`), the result is kept by the ring and spliced into live pushes
 * (`publicationPush`) and into the answers of recoveries; encoding a push is "for fan-out": the frame goes to every
 * subscriber alike.
 */
export interface Codec<C extends Command = Command> {
  /** For logs and services. */
  readonly name: string;
  /**
   * Commands of one frame, in order. Stops at the first flaw, which is then the last element: what came before it
   * counts.
   */
  decode(frame: Frame): readonly (C | DecodeFailure)[];
  /** The part of a publication that every channel push and recovery shares; by this function encodings are kept. */
  readonly publication: (publication: Publication) => Frame;
  publicationPush(channel: string, encoded: Frame): Frame;
  /** Somebody came to a channel or left it. */
  memberPush(channel: string, kind: "join" | "leave", info: ClientInfo): Frame;
  /** The server ended a subscription. */
  unsubscribePush(channel: string, code: number, reason: string): Frame;
  readonly ping: Frame;
  /** Beside that, a WebSocket ping goes out: clients need not know what the frame means, their WebSockets answer. */
  readonly pingsByFrame?: true;
  /** Writes differences between messages; absent from protocols that have no such thing. */
  readonly deltas?: DeltaEncoder;
  /** The client says nothing after its connect, and answers no ping. */
  readonly unidirectional?: true;
  /** Comings and goings are told of users, and not of connections. */
  readonly byUser?: true;
  /** How many are subscribed; absent from protocols that cannot say it. */
  countPush?(channel: string, count: number): Frame;
  /** A close as clients of this protocol understand it; absent where codes are its own. */
  closing?(close: CloseCode): CloseCode;
  /** Said right before a close, to clients that read no close codes; absent where they do. */
  lastWord?(close: CloseCode): Frame;
}

/** Writes publications for subscribers that get the difference from the message before (Fossil's delta format). */
export interface DeltaEncoder {
  /** As {@link Codec.publication}: a whole one, for these subscribers. */
  readonly publication: Codec["publication"];
  /** The bytes that differences are taken of. */
  base(publication: Publication): Uint8Array;
  /** A difference; `undefined` when it cannot be written down. */
  delta(publication: Publication, delta: Uint8Array): Frame | undefined;
}
