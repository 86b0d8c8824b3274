import { type CloseCode, Closes } from "../../core/errors.ts";
import { type Rate, rateOf } from "../../core/limits.ts";
import type { Logger } from "../../core/log.ts";
import { Seldom } from "../../core/seldom.ts";
import type { Stats } from "../../core/stats.ts";
import type { DecodeFailure } from "../../protocol/command.ts";
import { TOO_BIG } from "../../runtime/runtime.ts";
import type { GatewayContext } from "../context.ts";
import { detach } from "../subscribe/attach.ts";
import { catchUp } from "../subscribe/catch-up.ts";
import type { Session, SessionHost } from "./session.ts";
import { logOf } from "./session-log.ts";

/** One address is heard of at most so often at log level info. */
const MISTAKES_EVERY_MS = 60_000;

/** What an instance does for its sessions: it lists them, has them watched, and clears up after them. */
export class Host implements SessionHost {
  readonly stats: Stats;
  readonly log: Logger;
  commandRate: Rate | undefined;
  byteRate: Rate | undefined;
  ratesSince = Number.MIN_VALUE;
  readonly #context: GatewayContext;
  #started = false;
  /** By address: clients of one make the same mistake again and again. */
  readonly #mistakes = new Seldom(MISTAKES_EVERY_MS);

  constructor(context: GatewayContext) {
    this.#context = context;
    this.stats = context.stats;
    this.log = context.log;
    this.reloaded();
  }

  /** The options were changed. */
  reloaded(): void {
    const { commandsPerSecond, bytesPerSecond } = this.#context.options;
    const changed =
      commandsPerSecond !== (this.commandRate?.perSecond ?? 0) ||
      bytesPerSecond !== (this.byteRate?.perSecond ?? 0);
    if (changed && this.#started) this.ratesSince = performance.now();
    this.#started = true;
    this.commandRate = rateOf(commandsPerSecond);
    this.byteRate = rateOf(bytesPerSecond);
  }

  opened(session: Session): void {
    const { hub, emulation, liveness } = this.#context;
    this.#context.taps.trace?.("socket opened", { client: session.client, protocol: session.codec.name });
    hub.sessions.set(session.client, session);
    emulation.opened(session);
    liveness.opened(session);
    session.dialect.opened(session);
  }

  drained(session: Session): void {
    for (const task of [...session.catchUps]) catchUp(this.#context, session, task);
  }

  hadSlowConsumer(session: Session): boolean {
    return this.#context.hub.hadSlowConsumer(session);
  }

  mayReceive(session: Session, bytes: number): boolean {
    const { quotas, taps } = this.#context;
    if (taps.meter.counts) taps.meter.frame(session, bytes);
    return quotas.frame(session, bytes);
  }

  malformed(session: Session, { detail }: DecodeFailure): CloseCode {
    this.stats.readErrors++;
    this.#mistaken(session, detail);
    const { code, reason } = Closes.badRequest;
    return { code, reason: `${reason}: ${detail}` };
  }

  /** The client did something that no client should: whoever wrote it wants to know. */
  #mistaken(session: Session, detail: string): void {
    const { ip } = session.handshake;
    const level = this.#mistakes.first(ip) ? "info" : "debug";
    logOf(this.log, session)[level]("client made a mistake", { protocol: session.codec.name, ip, detail });
  }

  ended(session: Session, code: number, reason: string): void {
    const { hub, emulation, liveness, tracker, stats, release, troubles, comings } = this.#context;
    this.#context.taps.trace?.("closed", { client: session.client, user: session.user, code, reason });
    stats.ended(code);
    if (code === Closes.slow.code) stats.slowConsumers++;
    if (reason === TOO_BIG) this.#mistaken(session, "a frame longer than limits.frame");
    hub.sessions.delete(session.client);
    emulation.ended(session);
    release(session.handshake.admissionKey);
    liveness.ended(session);
    if (!session.identified) return;
    session.dialect.ended(session);
    hub.removeUser(session);
    troubles.add({
      atMs: Date.now(),
      user: session.user,
      client: session.client,
      what: "end",
      code,
      message: reason,
    });
    comings.disconnected(session, code, reason);
    tracker.ended(session, code, reason);
    for (const sub of session.subs.values()) detach(this.#context, session, sub);
  }
}
