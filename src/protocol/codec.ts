import type { CloseCode, ErrorCode } from "../core/errors.ts";
import type { Position } from "../core/position.ts";
import type { ClientInfo, Publication } from "../core/publication.ts";
import type { Command } from "./command.ts";

/** One WebSocket message: text for JSON, bytes for Protobuf. */
export type Frame = string | Uint8Array;

/** Wire formats; those of the Centrifuge protocol by the names of their WebSocket subprotocols. */
export type CodecName = "centrifuge-json" | "centrifuge-protobuf" | "pusher";

/**
 * A wire format: bytes ⇄ commands, answers and pushes. Stateless and shared by every connection that speaks it.
 *
 * A publication is encoded once (`publication`), the result is kept by the ring and spliced into live pushes
 * (`publicationPush`) and into the answers of recoveries; encoding a push is "for fan-out": the frame goes to every
 * subscriber alike.
 */
export interface Codec {
  readonly name: CodecName;
  /**
   * Commands of one frame, in order. Stops at the first flaw, which is then the last element: what came before it
   * counts.
   */
  decode(frame: Frame): readonly (Command | DecodeFailure)[];
  error(id: number, error: ErrorCode): Frame;
  /** Answers without content: unsubscribe, publish. */
  empty(id: number, method: "unsubscribe" | "publish"): Frame;
  connect(id: number, result: ConnectResult): Frame;
  subscribe(id: number, result: SubscribeResult): Frame;
  presence(id: number, members: readonly ClientInfo[]): Frame;
  presenceStats(id: number, clients: number, users: number): Frame;
  history(id: number, publications: readonly Publication[], position: Position): Frame;
  rpc(id: number, data: string): Frame;
  refresh(id: number, client: string, version: string, ttl: number | undefined): Frame;
  subRefresh(id: number, ttl: number | undefined): Frame;
  /** The part of a publication that every channel push and recovery shares; by this function encodings are kept. */
  readonly publication: (publication: Publication) => Frame;
  publicationPush(channel: string, encoded: Frame): Frame;
  noticePush(channel: string, kind: "join" | "leave", info: ClientInfo): Frame;
  subscribePush(channel: string, result: SubscribeResult): Frame;
  unsubscribePush(channel: string, code: number, reason: string): Frame;
  refreshPush(ttl: number): Frame;
  /** Says why the connection ends, on transports without close frames. */
  disconnectPush(code: number, reason: string): Frame;
  readonly ping: Frame;
  readonly deltas?: DeltaEncoder;
  /**
   * A frame as part of an endless byte stream, where nothing but itself tells where it ends. What clients send in such
   * a way, `decode` takes as one frame.
   */
  streamed(frame: Frame): Frame;
  /** The client says nothing after its connect, and answers no ping. */
  readonly unidirectional?: true;
  /** Comings and goings are told of users, and not of connections. */
  readonly byUser?: true;
  /** How many are subscribed, where the protocol has a word for it. */
  countPush?(channel: string, count: number): Frame;
  /** A close as clients of this protocol understand it; absent where codes are its own. */
  closing?(close: CloseCode): CloseCode;
}

/**
 * Writes publications for subscribers that get the difference from the message before (Fossil's delta format). Absent
 * from protocols that have no such thing.
 */
export interface DeltaEncoder {
  /** As {@link Codec.publication}: a whole one, for these subscribers. */
  readonly publication: Codec["publication"];
  /** The bytes that differences are taken of. */
  base(publication: Publication): Uint8Array;
  /** A difference; `undefined` when it cannot be written down. */
  delta(publication: Publication, delta: Uint8Array): Frame | undefined;
}

/** A frame that is no command. The connection ends with 3501. */
export interface DecodeFailure {
  readonly method: "malformed";
  /** For the log. */
  readonly detail: string;
}

export interface ConnectResult {
  readonly client: string;
  readonly version: string;
  readonly data?: string;
  /** Seconds between pings. */
  readonly ping: number;
  /** Pings are to be answered. */
  readonly pong: boolean;
  /** Seconds until the client must have refreshed its token; absent: never. */
  readonly ttl?: number;
  readonly subs: ReadonlyMap<string, SubscribeResult>;
  readonly node: string;
  /** By which commands that come in other requests find the connection; only where they do. */
  readonly session?: string;
  readonly timeMs: number;
}

export interface SubscribeResult {
  /** Positions are given to the client, which may recover from them. */
  readonly recoverable: boolean;
  readonly positioned: boolean;
  readonly position: Position;
  readonly wasRecovering: boolean;
  readonly recovered: boolean;
  /** Already encoded ({@link Codec.publication}), oldest first. */
  readonly publications: readonly Frame[];
  /** Publications are those of {@link Codec.deltas}. */
  readonly delta?: boolean;
  readonly ttl?: number;
  readonly data?: string;
}
