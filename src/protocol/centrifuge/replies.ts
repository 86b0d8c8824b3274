import type { ErrorCode } from "../../core/errors.ts";
import type { Position } from "../../core/position.ts";
import type { ClientInfo, Publication } from "../../core/publication.ts";
import type { Codec, Frame } from "../codec.ts";
import type { CentrifugeCommand } from "./command.ts";

/** Encodings of the Centrifuge protocol, by the names of their WebSocket subprotocols. */
export type CentrifugeCodecName = "centrifuge-json" | "centrifuge-protobuf";

/** An encoding of the Centrifuge protocol: what every family has, and its answers and pushes. */
export interface CentrifugeCodec extends Codec<CentrifugeCommand>, Replies {
  readonly name: CentrifugeCodecName;
  /**
   * A frame as part of an endless byte stream, where nothing but itself tells where it ends. What clients send in such
   * a way, `decode` takes as one frame.
   */
  streamed(frame: Frame): Frame;
  /** A list of members, as part of any number of answers. */
  members(members: readonly ClientInfo[]): Frame;
}

/** Answers to commands, each with the command's `id`, and pushes that only this protocol has. */
interface Replies {
  error(id: number, error: ErrorCode): Frame;
  /** Answers without content: unsubscribe, publish. */
  empty(id: number, method: "unsubscribe" | "publish"): Frame;
  connect(id: number, result: ConnectResult): Frame;
  subscribe(id: number, result: SubscribeResult): Frame;
  /** @param list made by {@link members} */
  presence(id: number, list: Frame): Frame;
  presenceStats(id: number, clients: number, users: number): Frame;
  history(id: number, publications: readonly Publication[], position: Position): Frame;
  /** @param data JSON text */
  rpc(id: number, data: string): Frame;
  /** @param ttl seconds, `undefined`: never; here and below */
  refresh(id: number, client: string, version: string, ttl: number | undefined): Frame;
  subRefresh(id: number, ttl: number | undefined): Frame;
  subscribePush(channel: string, result: SubscribeResult): Frame;
  refreshPush(ttl: number): Frame;
  /** Says why the connection ends, on transports without close frames. */
  disconnectPush(code: number, reason: string): Frame;
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
  /** Already encoded (`publication` of the codec), oldest first. */
  readonly publications: readonly Frame[];
  /** Publications are those of the codec's `deltas`. */
  readonly delta?: boolean;
  readonly ttl?: number;
  readonly data?: string;
}
