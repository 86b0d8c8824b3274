/**
 * What a wheel keeps of an item, on the item itself: an entry costs no object and no closure. Spread
 * {@link unscheduled} into the item, or declare the three fields; only the wheel writes them.
 */
export interface WheelItem {
  wheelPrev: WheelItem | undefined;
  wheelNext: WheelItem | undefined;
  /** Tick in which it is due; meaningless while not scheduled. */
  wheelDue: number;
}

export interface WheelOptions<T> {
  /** Resolution, ms: an item comes up to this much late (plus what the event loop adds), never early. */
  readonly tickMs: number;
  /** Called when an item's time has come; it is not scheduled any more, and may be scheduled again here. */
  readonly due: (item: T) => void;
  /** Number of slots, default 512. A longer delay than `slots * tickMs` costs one extra look per turn of the wheel. */
  readonly slots?: number;
  /** Monotonic clock, ms. */
  readonly now?: () => number;
}

/**
 * Hashed timing wheel: one interval for any number of time-outs, every operation O(1). An item is scheduled at most
 * once in one wheel; a slot is a ring of linked items around a sentinel, so that an item can leave any slot, even the
 * one being walked, without being searched for. Spreading items over time (jitter) is the caller's part.
 */
export class Wheel<T extends WheelItem> {
  readonly #tickMs: number;
  readonly #due: (item: T) => void;
  readonly #now: () => number;
  readonly #slots: readonly WheelItem[];
  /** Items taken from their slot whose turn is now. */
  readonly #firing = sentinel();
  /** Last tick that was worked off. */
  #tick: number;
  #size = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: WheelOptions<T>) {
    this.#tickMs = options.tickMs;
    this.#due = options.due;
    this.#now = options.now ?? (() => performance.now());
    this.#slots = Array.from({ length: options.slots ?? 512 }, sentinel);
    this.#tick = Math.floor(this.#now() / this.#tickMs);
  }

  /** Scheduled items. */
  get size(): number {
    return this.#size;
  }

  /** Turns by itself from now on. Idempotent. */
  start(): void {
    this.#timer ??= setInterval(() => this.turn(), this.#tickMs);
  }

  /** Stands still; items stay scheduled. Idempotent. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** (Re)schedules an item to come up once, `delayMs` from now. */
  schedule(item: T, delayMs: number): void {
    if (item.wheelNext) unlink(item);
    else this.#size++;
    // A tick that is worked off already comes round again only with the next turn of the wheel.
    const tick = Math.max(Math.ceil((this.#now() + delayMs) / this.#tickMs), this.#tick + 1);
    item.wheelDue = tick;
    link(this.#slots[tick % this.#slots.length]!, item);
  }

  /** Does nothing when the item is not scheduled. */
  cancel(item: T): void {
    if (!item.wheelNext) return;
    unlink(item);
    this.#size--;
  }

  /** Works off every tick up to now. When `due` throws, what it kept from coming up comes with the next turn. */
  turn(): void {
    const current = Math.floor(this.#now() / this.#tickMs);
    const length = this.#slots.length;
    // After a stall longer than a whole turn every slot is walked once.
    const first = Math.max(this.#tick + 1, current - length + 1);
    for (let tick = first; tick <= current; tick++) {
      const slot = this.#slots[tick % length]!;
      for (let item = slot.wheelNext!; item !== slot; ) {
        const next = item.wheelNext!;
        if (item.wheelDue <= current) {
          unlink(item);
          link(this.#firing, item);
        }
        item = next;
      }
    }
    this.#tick = Math.max(this.#tick, current);
    const firing = this.#firing;
    for (let item = firing.wheelNext!; item !== firing; item = firing.wheelNext!) {
      unlink(item);
      this.#size--;
      this.#due(item as T);
    }
  }
}

/** Fields of an item that is not scheduled. */
export function unscheduled(): WheelItem {
  return { wheelPrev: undefined, wheelNext: undefined, wheelDue: 0 };
}

function sentinel(): WheelItem {
  const ring = unscheduled();
  ring.wheelPrev = ring;
  ring.wheelNext = ring;
  return ring;
}

/** Appends, so that items of one tick come up in the order they were scheduled. */
function link(ring: WheelItem, item: WheelItem): void {
  const last = ring.wheelPrev!;
  item.wheelPrev = last;
  item.wheelNext = ring;
  last.wheelNext = item;
  ring.wheelPrev = item;
}

function unlink(item: WheelItem): void {
  item.wheelPrev!.wheelNext = item.wheelNext;
  item.wheelNext!.wheelPrev = item.wheelPrev;
  item.wheelPrev = undefined;
  item.wheelNext = undefined;
}
