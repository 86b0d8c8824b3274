import { type ChannelName, USER_NAMESPACE } from "../../core/channel.ts";
import type { Logger } from "../../core/log.ts";
import type { NamespaceRules } from "../../core/namespace.ts";
import type { Publication } from "../../core/publication.ts";
import type { Stats } from "../../core/stats.ts";
import type { Wheel, WheelItem } from "../../core/wheel.ts";
import type { RingEntry } from "./ring.ts";
import type { Subscriber } from "./subscriber.ts";

/** Most messages that wait for the end of one channel's window: with one more, all of them go. */
const MAX_HELD = 1_000;

/** One that comes in the midst of a window. */
interface Newcomer {
  readonly subscriber: Subscriber;
  /** What was taken up to here it has already, or was never to get. */
  readonly after: number;
  readonly add: () => void;
}

/** What a window needs of its namespace. */
export type WindowRules = Pick<NamespaceRules, "windowMs" | "windowWhen" | "conflate">;

/** What a window needs of its instance. */
export interface WindowContext {
  readonly stats: Pick<Stats, "conflated">;
  /** Ends windows. */
  readonly windows?: Wheel<SendWindow>;
  overloaded(): boolean;
  readonly taps?: Pick<Logger, "trace">;
}

/**
 * The send window of a channel: after a message has gone at once, those that follow within the window wait for its end, and
 * of them all go, or the newest, or the newest of each key. So a channel is quiet between two windows, its last message
 * always goes, and a message after a pause does not wait.
 */
export class SendWindow implements WheelItem {
  wheelPrev: WheelItem | undefined;
  wheelNext: WheelItem | undefined;
  wheelDue = 0;
  readonly #rules: WindowRules;
  readonly #context: WindowContext;
  readonly #windows: Wheel<SendWindow>;
  readonly #send: (entry: RingEntry) => void;
  /** In the order of their offsets; messages without a key have their own number for one. */
  readonly #held = new Map<string | number, { readonly entry: RingEntry; readonly number: number }>();
  /** In the order in which they came; empty while nothing is held. */
  #newcomers: Newcomer[] = [];
  /** Messages that were held so far. */
  #taken = 0;

  private constructor(
    rules: WindowRules,
    context: WindowContext,
    windows: Wheel<SendWindow>,
    send: (entry: RingEntry) => void,
  ) {
    this.#rules = rules;
    this.#context = context;
    this.#windows = windows;
    this.#send = send;
  }

  /** The window of a channel whose namespace has one. */
  static of(
    rules: WindowRules,
    context: WindowContext,
    send: (entry: RingEntry) => void,
  ): SendWindow | undefined {
    const { windows } = context;
    return rules.windowMs > 0 && windows ? new SendWindow(rules, context, windows, send) : undefined;
  }

  /** Takes a message: sends it now, or keeps it for the end of the window. */
  take(entry: RingEntry): void {
    const { priority } = entry.publication;
    if (priority === "high" || !this.#slows()) {
      this.flush();
      this.#send(entry);
    } else if (this.wheelNext) this.#hold(entry);
    else {
      this.#send(entry);
      this.#windows.schedule(this, this.#rules.windowMs);
    }
  }

  /**
   * Lets a subscriber in with what is taken from now on: at once, or while something is held for the others, in the midst
   * of that when it goes.
   * @param add has it get what is sent from then on
   */
  join(subscriber: Subscriber, add: () => void): void {
    if (this.#held.size === 0) add();
    else if (!this.#newcomers.some((one) => one.subscriber === subscriber)) {
      this.#newcomers.push({ subscriber, after: this.#taken, add });
    }
  }

  leave(subscriber: Subscriber): void {
    if (this.#newcomers.length === 0) return;
    this.#newcomers = this.#newcomers.filter((one) => one.subscriber !== subscriber);
  }

  /** Those who are in, but get nothing yet. */
  *newcomers(): Iterable<Subscriber> {
    for (const { subscriber } of this.#newcomers) yield subscriber;
  }

  get waiting(): number {
    return this.#newcomers.length;
  }

  /** Sends what is held, now: before something that must come after it. */
  flush(): void {
    if (this.#held.size === 0) return;
    const held = [...this.#held.values()];
    const newcomers = this.#newcomers;
    this.#held.clear();
    this.#newcomers = [];
    let next = 0;
    for (const { entry, number } of held) {
      while (next < newcomers.length && newcomers[next]!.after < number) newcomers[next++]!.add();
      this.#send(entry);
    }
    while (next < newcomers.length) newcomers[next++]!.add();
  }

  /** The window is over. */
  due(): void {
    if (this.#held.size === 0) return;
    this.flush();
    this.#windows.schedule(this, this.#rules.windowMs);
  }

  /** Forgets what is held: nobody is left to have it. */
  close(): void {
    this.#held.clear();
    this.#newcomers = [];
    this.#windows.cancel(this);
  }

  #slows(): boolean {
    return this.#rules.windowWhen === "always" || this.#context.overloaded();
  }

  #hold(entry: RingEntry): void {
    const number = ++this.#taken;
    const key = this.#keyOf(entry) ?? number;
    // To the end: it goes in the order of the newest.
    if (this.#held.delete(key)) this.#context.stats.conflated++;
    this.#held.set(key, { entry, number });
    if (this.#held.size > MAX_HELD) this.flush();
  }

  #keyOf({ publication }: RingEntry): string | undefined {
    const { conflate } = this.#rules;
    if (conflate === "latest") return "";
    return conflate === "key" ? publication.tags?.key : undefined;
  }
}

/** What {@link isLeftOut} asks and tells. */
interface LeavingOut extends Pick<WindowContext, "overloaded" | "taps"> {
  readonly stats: Pick<Stats, "lowPriorityDropped">;
  readonly leftOut?: (channel: string, offset: number) => void;
}

/**
 * Whether a message of low priority is left out, because the instance is overloaded; counted. It has its place in the order
 * and in the ring, so that who comes back later gets it. An inbox promises every message.
 */
export function isLeftOut(
  context: LeavingOut,
  { id, namespace }: ChannelName,
  { priority, offset }: Publication,
): boolean {
  if (priority !== "low" || namespace === USER_NAMESPACE || !context.overloaded()) return false;
  context.stats.lowPriorityDropped++;
  context.leftOut?.(id, offset);
  context.taps?.trace?.("left out", { channel: id, offset, why: "low priority, under overload" });
  return true;
}
