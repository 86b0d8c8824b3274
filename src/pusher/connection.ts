import { Closes, ConnectionError } from "../core/errors.ts";
import type { Publication } from "../core/publication.ts";
import { Stats } from "../core/stats.ts";
import type { Dialect } from "../gateway/dialect.ts";
import { countFailure, failureLabel } from "../gateway/session/failure.ts";
import { becomeOpen } from "../gateway/session/open.ts";
import type { Session } from "../gateway/session/session.ts";
import type { Subscription } from "../gateway/session/subscription.ts";
import { noteTime } from "../gateway/session/timing.ts";
import { PusherCloses } from "../protocol/pusher/codes.ts";
import type { PusherMessage } from "../protocol/pusher/message.ts";
import { connectionEstablished, pusher, pusherBefore6, pusherError } from "../protocol/pusher/pusher.ts";
import { type PusherApp, pusherChannel } from "./apps.ts";
import type { PusherContext } from "./context.ts";
import { methodOf, pusherMessage } from "./dispatch.ts";
import type { Failure } from "./failures.ts";
import { isFor, tellLost } from "./resume.ts";
import { PusherState } from "./state.ts";
import { endsSubscription, tellFull } from "./subscribe.ts";

const SUBSCRIBES: ReadonlySet<string> = new Set(["pusher:subscribe", "pusher:unsubscribe"]);

/** The Pusher protocol at the gateway, on one connection: with what only such a connection has. */
export class PusherConnection extends PusherState implements Dialect<Session> {
  readonly codec: typeof pusher;
  get family(): string {
    return "pusher";
  }

  readonly #context: PusherContext;

  /** @param version of the protocol, as the client has it */
  constructor(context: PusherContext, app: PusherApp, version: number) {
    super(app);
    this.#context = context;
    this.codec = version < 6 ? pusherBefore6 : pusher;
  }

  /** A socket id: two random numbers, as the protocol wants it. */
  newClientId(): string {
    const [first, second] = crypto.getRandomValues(new BigUint64Array(2));
    return `${first}.${second}`;
  }

  /** With the socket the session is open: who opened it had the key of an application. */
  opened(session: Session): void {
    const { pingIntervalMs, pongTimeoutMs } = this.#context.options;
    if (!this.#context.connections.enter(this.app)) {
      Stats.bump(this.#context.stats.rejected, "app_connections");
      const { code, reason } = PusherCloses.overQuota;
      session.send(pusherError({ code, message: reason }));
      session.close(PusherCloses.overQuota);
      return;
    }
    session.attemptConnect();
    becomeOpen(this.#context, session);
    // The server's own pings keep a client from pinging; it begins only when they stay away.
    const activityTimeout = Math.ceil((pingIntervalMs + pongTimeoutMs) / 1000);
    session.send(connectionEstablished(session.client, activityTimeout));
    this.#context.liveness.connected(session);
    if (this.app.limits.authorizationTimeoutMs > 0) this.#context.unauthorized.add(session, this);
  }

  /** What a client gets wrong it is told, and the connection lives on. */
  execute(session: Session, message: PusherMessage): void {
    if ((SUBSCRIBES.has(message.event) && this.countSubscribe()) || session.takeCommand()) {
      // It has what it needs.
    } else if (endsSubscription(session, this, message)) {
      // For nothing: there cannot be more of them than subscribes.
      session.giveBackCommand();
    } else {
      Stats.bump(this.#context.stats.rejected, "command_rate");
      session.close(Closes.tooManyRequests);
      return;
    }
    const { channel } = message.fields;
    this.#context.taps.trace?.("command", {
      ...{ client: session.client, method: message.event },
      ...(typeof channel === "string" && { channel: pusherChannel(this.app, channel) }),
    });
    const sinceMs = performance.now();
    const failed = (error: unknown) => {
      countFailure(this.#context, session, message, error);
      if (error instanceof ConnectionError) session.close(error.close);
      return failureLabel(error);
    };
    const answered = (failure: Failure) => this.#noteTime(session, message, failure, sinceMs);
    try {
      if (message.event.startsWith("pusher:subscribe")) this.#context.quotas.command(session);
      const done = pusherMessage(this.#context, session, this, message);
      if (done instanceof Promise) void done.catch(failed).then(answered);
      else answered(done);
    } catch (error) {
      answered(failed(error));
    }
  }

  #noteTime(session: Session, message: PusherMessage, code: Failure = "ok", sinceMs: number): void {
    const { event, fields } = message;
    const subscribes = event === "pusher:subscribe" && typeof fields.channel === "string";
    const subscribedTo = subscribes ? pusherChannel(this.app, fields.channel as string) : undefined;
    noteTime(this.#context, session, { method: methodOf(message), subscribedTo, code, sinceMs });
  }

  lost(session: Session, { channel }: Subscription): void {
    tellLost(session, this, channel);
  }

  refused(session: Session, sub: Subscription): void {
    tellFull(this.#context, session, this, sub);
  }

  wants(publication: Publication): boolean {
    return isFor(this, publication);
  }

  /** Clients know no subscriptions but their own. */
  async subscribe(): Promise<void> {}

  /** Clients know no expiry. */
  expiryMoved(): void {}

  ended(session: Session): void {
    const { hub, channelUsers, connections } = this.#context;
    connections.leave(this.app);
    for (const channel of this.watched) {
      channelUsers.known(channel)?.unwatch(session);
      hub.release(channel);
    }
    hub.previousIds.replace(session, this.previousIds, []);
  }
}
