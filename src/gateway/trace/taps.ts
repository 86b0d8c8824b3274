import type { LogFields, Logger } from "../../core/log.ts";
import type { Publication } from "../../core/publication.ts";
import type { Channel } from "../channel/channel.ts";
import type { Subscriber } from "../channel/subscriber.ts";
import type { Session } from "../session/session.ts";
import { Meter, type Traffic } from "./meter.ts";
import type { TapSignal, TraceBatch } from "./request.ts";
import { type StepOf, shownMessage, Tap } from "./tap.ts";

/** Most traces that an instance serves at a time. */
const MOST_TAPS = 16;

/** How often what was seen is sent, ms. */
const SEND_MS = 100;

/** What taps need of their instance. */
export interface TapsParts {
  readonly instance: string;
  readonly region: string;
  readonly log: Pick<Logger, "trace">;
  readonly stats: Traffic;
  /** Whether bodies of messages may be shown. */
  readonly payloads: boolean;
  sessionOf(client: string): Session | undefined;
  sessionsOf(user: string): readonly Session[];
  /** Sends to who looks. */
  send(at: string, batch: TraceBatch): void;
}

/**
 * The steps in the life of connections, channels and messages, for whoever wants to see them: the log at level `debug`,
 * traces from anywhere, and the count of what is busy. While nobody does, every member but {@link meter} is absent as
 * {@link Logger.trace} is, so that a step costs one look.
 */
export class Taps {
  readonly meter: Meter;
  readonly #parts: TapsParts;
  #taps: readonly Tap[] = [];
  #sending: ReturnType<typeof setInterval> | undefined;

  constructor(parts: TapsParts) {
    this.#parts = parts;
    this.meter = new Meter(parts.stats);
  }

  /** One step; `client` and `channel` say whose. */
  get trace(): Logger["trace"] {
    return this.#taps.length === 0 ? this.#parts.log.trace : this.#step;
  }

  /** A message goes to the subscribers of a channel. @param except gets none: it published it, and wished so */
  get delivered():
    | ((channel: Channel, publication: Publication, except: Subscriber | undefined) => void)
    | undefined {
    return this.#taps.length === 0 && !this.meter.counts ? undefined : this.#delivered;
  }

  /** Begins a trace, or lets one go on. @returns what is told to who looks */
  begin(signal: TapSignal): { instance: string; payloads: boolean; busy: boolean } | undefined {
    const { instance, payloads } = this.#parts;
    if (signal.instance !== undefined && signal.instance !== instance) return undefined;
    const now = performance.now();
    let tap = this.#taps.find(({ id }) => id === signal.id);
    if (tap) tap.renew(now);
    else if (this.#taps.length >= MOST_TAPS) return { instance, payloads: false, busy: true };
    else {
      tap = new Tap(signal, payloads, now);
      this.#set([...this.#taps, tap]);
    }
    return { instance, payloads: tap.payloads, busy: false };
  }

  /** Nobody looks any more. */
  end(id: string): void {
    this.#set(this.#taps.filter((tap) => tap.id !== id));
  }

  close(): void {
    this.#set([]);
    this.meter.close();
  }

  #set(taps: readonly Tap[]): void {
    this.#taps = taps;
    if (taps.length > 0) this.#sending ??= setInterval(() => this.#send(), SEND_MS);
    else {
      clearInterval(this.#sending);
      this.#sending = undefined;
    }
  }

  readonly #step = (step: string, fields: LogFields): void => {
    this.#parts.log.trace?.(step, fields);
    const { client, user = this.#userOf(client), channel } = fields as StepOf;
    const now = performance.now();
    for (const tap of this.#taps) {
      if (!tap.fits({ client, user, channel })) continue;
      tap.see({ ...fields, at: Date.now(), step, ...(user !== undefined && user !== "" && { user }) }, now);
    }
  };

  readonly #delivered = (
    channel: Channel,
    publication: Publication,
    except: Subscriber | undefined,
  ): void => {
    this.meter.message(channel.id, publication.data.length);
    for (const tap of this.#taps) {
      if (tap.channel !== undefined && tap.channel !== channel.id) continue;
      if (tap.ofConnections) this.#deliveredTo(tap, channel, publication, except);
      else this.#see(tap, channel, publication, { step: "delivered", subscribers: channel.size });
    }
  };

  /** Which of the connections in question get a message: work is proportional to them, not to the channel. */
  #deliveredTo(tap: Tap, channel: Channel, publication: Publication, except: Subscriber | undefined): void {
    for (const session of this.#sessionsOf(tap)) {
      const sub = session.subs.get(channel.id);
      if (!sub) continue;
      const { client, user } = session;
      const late = [...session.catchUps].some((task) => task.sub === sub);
      const why =
        session === except ? "it published it" : late ? "it is being brought up to date" : undefined;
      const fate = why === undefined ? { step: "delivered" } : { step: "not delivered", why };
      this.#see(tap, channel, publication, { ...fate, client, user, unsent: session.bufferedBytes });
    }
  }

  #see(tap: Tap, { id }: Channel, publication: Publication, facts: { step: string } & LogFields): void {
    const shown = shownMessage(publication, tap.payloads);
    const bytes = 200 + (tap.payloads ? Math.min(publication.data.length, 8_192) : 0);
    tap.see({ ...facts, channel: id, ...shown, at: Date.now() }, performance.now(), bytes);
  }

  #sessionsOf({ client, user }: Tap): readonly Session[] {
    if (client === undefined) return this.#parts.sessionsOf(user!);
    const session = this.#parts.sessionOf(client);
    return session && (user === undefined || session.user === user) ? [session] : [];
  }

  #userOf(client: string | undefined): string | undefined {
    return client === undefined ? undefined : this.#parts.sessionOf(client)?.user;
  }

  #send(): void {
    const { instance, region, send } = this.#parts;
    const now = performance.now();
    for (const tap of this.#taps) {
      const seen = tap.drain();
      if (seen) send(tap.at, { id: tap.id, instance, region, dropped: seen.dropped, steps: [...seen.steps] });
    }
    if (this.#taps.some((tap) => tap.isOver(now))) this.#set(this.#taps.filter((tap) => !tap.isOver(now)));
  }
}
