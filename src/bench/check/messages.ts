/** Body of every message that is checked. */
export interface Numbered {
  /** Name of its publisher. */
  readonly from: string;
  /** Increases with each message of that publisher. */
  readonly n: number;
  /** Contents besides, which must arrive as they were published. */
  readonly text?: string;
}

/** A place in a channel, as clients, acknowledgements and the store name it. */
interface Place {
  readonly epoch: string;
  readonly offset: number;
}

/** What an acknowledgement says of where a message is stored; what it does not say is absent. */
export interface Stored {
  readonly offset?: number;
  /** Of the stream. */
  readonly sequence?: number;
}

/** One message, from its first attempt on. Times are `performance.now()`. */
export interface CheckMessage extends Numbered {
  readonly key: string;
  readonly begunAt: number;
  /** When its publish was acknowledged; absent if never, in which case it may or may not be stored. */
  ackedAt?: number;
  /** Where its acknowledgement says it is. */
  stored?: Stored;
  /** The publisher has given it up. */
  ended: boolean;
  /** Position at which the first client received it. */
  place?: Place;
}

/** Messages published to one channel, in the order in which their publishes began. */
export class Messages {
  readonly all: CheckMessage[] = [];
  readonly #indexes = new Map<string, number>();
  readonly #keys = new Map<string, string>();

  begin({ from, n, text }: Numbered): CheckMessage {
    const message: CheckMessage = {
      ...{ from, n, key: keyOf({ from, n }), begunAt: performance.now(), ended: false },
      ...(text !== undefined && { text }),
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

/** Name of a message within its channel. */
function keyOf({ from, n }: Numbered): string {
  return `${from}#${n}`;
}

/** Parts of texts that codecs, escapes and lengths get wrong. */
const PARTS = [
  "",
  "ä € 𝄞 ",
  '"\\/ ',
  "\u2028\u0000\u001f\u007f ",
  "</script>& ",
  "١٢٣ ",
  "{}[],: ",
  "x".repeat(64),
];
const TEXTS = 61;
/** Made once, and shared by all messages that have it. */
const texts = Array.from({ length: TEXTS }, (_, index) => {
  const parts = Array.from({ length: index % 7 }, (_, at) => PARTS[(index * 3 + at * 5) % PARTS.length]!);
  return `${index} ${parts.join("")}`;
});

/** Text for a publisher's n-th message: that of the message before and after it is another one. */
export function textOf(n: number): string {
  return texts[n % TEXTS]!;
}
