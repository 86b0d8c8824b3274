import { Closes, Unsubscribes } from "../core/errors.ts";
import type { GatewayContext } from "../gateway/context.ts";
import type { Dialect, ForcedSubscribe } from "../gateway/dialect.ts";
import type { Session } from "../gateway/session/session.ts";
import { logOf } from "../gateway/session/session-log.ts";
import type { Subscription } from "../gateway/session/subscription.ts";
import { detach, revoke } from "../gateway/subscribe/attach.ts";
import { CENTRIFUGE_CODECS } from "../protocol/centrifuge/codecs.ts";
import type { CentrifugeCommand } from "../protocol/centrifuge/command.ts";
import type { CentrifugeCodec, CentrifugeCodecName } from "../protocol/centrifuge/replies.ts";
import { STREAM_CODECS, type StreamTransport } from "../protocol/centrifuge/stream-codecs.ts";
import { execute } from "./dispatch.ts";
import { forceSubscribe } from "./force-subscribe.ts";
import { saveInboxCursor } from "./inbox.ts";
import { secondsLeft } from "./position.ts";
import { renewConnection, renewSubscription } from "./renew.ts";
import type { CentrifugeSession } from "./session.ts";

/** The Centrifuge protocol at the gateway, in one encoding; shared by all connections that speak it. */
export class CentrifugeDialect implements Dialect<Session> {
  readonly codec: CentrifugeCodec;
  readonly #context: GatewayContext;

  constructor(context: GatewayContext, codec: CentrifugeCodec) {
    this.#context = context;
    this.codec = codec;
  }

  /** One-way clients have no SDK that comes back after a random time: an `EventSource` comes after a fixed one. */
  get family(): string {
    return this.codec.unidirectional ? "oneWay" : "centrifuge";
  }

  newClientId(): string {
    return crypto.randomUUID();
  }

  /** The client connects by a command. */
  opened(): void {}

  execute(session: CentrifugeSession, command: CentrifugeCommand): void {
    execute(this.#context, session, command);
  }

  /** A client subscribes again by itself; what the server subscribed it to begins again with the connection. */
  lost(session: Session, sub: Subscription): void {
    if (sub.side === "server") session.close(Closes.insufficientState);
    else revoke(this.#context, session, sub, Unsubscribes.insufficientState);
  }

  refused(session: CentrifugeSession, sub: Subscription): void {
    if (session.subs.get(sub.channel.id) !== sub) return;
    const { code, reason } = Unsubscribes.permissionDenied;
    detach(this.#context, session, sub);
    session.send(session.codec.unsubscribePush(sub.channel.id, code, reason));
  }

  async subscribe(session: CentrifugeSession, wanted: ForcedSubscribe): Promise<void> {
    try {
      await forceSubscribe(this.#context, session, wanted);
    } catch (error) {
      logOf(this.#context.log, session).warn("a forced subscribe failed", { channel: wanted.channel, error });
    }
  }

  expiryMoved(session: CentrifugeSession): void {
    if (this.#context.options.refreshCallout !== false) return; // the client has nothing to do with it
    const ttl = secondsLeft(session.expiresAt);
    if (ttl !== undefined) session.send(session.codec.refreshPush(ttl));
  }

  renew(session: CentrifugeSession, sub?: Subscription): void {
    const context = this.#context;
    void (sub ? renewSubscription(context, session, sub) : renewConnection(context, session));
  }

  ended(session: CentrifugeSession): void {
    saveInboxCursor(this.#context, session);
  }
}

/** The dialects of the Centrifuge family on one instance: one for each encoding and transport. */
export class CentrifugeDialects {
  readonly #sockets: Readonly<Record<CentrifugeCodecName, CentrifugeDialect>>;
  readonly #streams = new Map<CentrifugeCodec, CentrifugeDialect>();
  readonly #context: GatewayContext;

  constructor(context: GatewayContext) {
    this.#context = context;
    this.#sockets = {
      "centrifuge-json": new CentrifugeDialect(context, CENTRIFUGE_CODECS["centrifuge-json"]),
      "centrifuge-protobuf": new CentrifugeDialect(context, CENTRIFUGE_CODECS["centrifuge-protobuf"]),
    };
  }

  /** What is spoken on WebSockets. */
  socket(encoding: CentrifugeCodecName): CentrifugeDialect {
    return this.#sockets[encoding];
  }

  /** What is spoken on a stream. */
  stream(transport: StreamTransport, encoding: CentrifugeCodecName): CentrifugeDialect {
    const codec = STREAM_CODECS[transport][encoding];
    let dialect = this.#streams.get(codec);
    if (!dialect) {
      dialect = new CentrifugeDialect(this.#context, codec);
      this.#streams.set(codec, dialect);
    }
    return dialect;
  }
}
