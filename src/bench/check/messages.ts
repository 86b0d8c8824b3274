/** Body of every message that is checked. */
export interface Numbered {
  /** Name of its publisher. */
  readonly from: string;
  /** Increases with each message of that publisher. */
  readonly n: number;
}

/** One message, from its first attempt on. Times are `performance.now()`. */
export interface CheckMessage extends Numbered {
  readonly key: string;
  readonly begunAt: number;
  /** When its publish was acknowledged; absent if never, in which case it may or may not be stored. */
  ackedAt?: number;
  /** The publisher has given it up. */
  ended: boolean;
  /** Position at which the first client received it. */
  place?: { readonly epoch: string; readonly offset: number };
}

/** Messages published to one channel, in the order in which their publishes began. */
export class Messages {
  readonly all: CheckMessage[] = [];
  readonly #indexes = new Map<string, number>();
  readonly #keys = new Map<string, string>();

  begin({ from, n }: Numbered): CheckMessage {
    const message: CheckMessage = {
      from,
      n,
      key: keyOf({ from, n }),
      begunAt: performance.now(),
      ended: false,
    };
    this.#indexes.set(message.key, this.all.length);
    this.all.push(message);
    return message;
  }

  /** The message that was received first at a position such as "epoch/17": this one, unless another was. */
  standsAt(place: string, key: string): string {
    const known = this.#keys.get(place);
    if (known === undefined) this.#keys.set(place, key);
    return known ?? key;
  }

  /** Its index in {@link all}; `undefined` for a message that was never published. */
  indexOf(body: Numbered): number | undefined {
    return this.#indexes.get(keyOf(body));
  }
}

/** Set of received messages: one bit for each. */
export class Seen {
  #bits = new Uint8Array(64);

  has(index: number): boolean {
    return ((this.#bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  add(index: number): void {
    if (index >> 3 >= this.#bits.length) {
      const larger = new Uint8Array(Math.max(this.#bits.length * 2, (index >> 3) + 1));
      larger.set(this.#bits);
      this.#bits = larger;
    }
    this.#bits[index >> 3]! |= 1 << (index & 7);
  }
}

function keyOf({ from, n }: Numbered): string {
  return `${from}#${n}`;
}
