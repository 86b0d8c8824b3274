/** A price, as the page gets it. */
export interface Quote {
  readonly symbol: string;
  readonly price: number;
}

/** What the feed has published so far. */
export interface Feed {
  published: number;
  readonly prices: Record<string, number>;
}

const SYMBOLS = ["EURUSD", "GBPUSD", "USDJPY", "USDCHF", "AUDUSD"];
/** Quotes a second, of all symbols together. */
const PER_SECOND = 500;

/** Makes up prices that wander, in place of an exchange. Publishes one after another, so that none passes another. */
export function startFeed(publish: (quote: Quote) => Promise<void>): Feed {
  const feed: Feed = { published: 0, prices: Object.fromEntries(SYMBOLS.map((symbol) => [symbol, 1])) };
  const tick = async (): Promise<void> => {
    for (let i = 0; i < PER_SECOND / 100; i++) {
      const symbol = SYMBOLS[Math.floor(Math.random() * SYMBOLS.length)]!;
      const price = Number((feed.prices[symbol]! * (1 + (Math.random() - 0.5) / 1000)).toFixed(5));
      await publish({ symbol, price });
      feed.prices[symbol] = price;
      feed.published++;
    }
    setTimeout(tick, 10);
  };
  void tick();
  return feed;
}
