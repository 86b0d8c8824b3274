/** Who listens and who publishes where: data, because workers need it, and a function of a client's number alone. */
export type Layout =
  /** Everybody listens to one channel; a service publishes. */
  | { readonly kind: "one"; readonly channel: string; readonly clients: number }
  /** Small channels: the members of each publish to each other. */
  | { readonly kind: "rooms"; readonly channel: string; readonly clients: number; readonly size: number }
  /** `clients` publish to a few channels and hear nothing; behind them come `channels` clients that only listen. */
  | { readonly kind: "fanin"; readonly channel: string; readonly clients: number; readonly channels: number }
  /** Everybody listens to a channel of its own, which its server subscribes it to. */
  | { readonly kind: "inbox"; readonly prefix: string; readonly clients: number };

/** What one client does. */
export interface Place {
  /** The channel it listens to, "" for none. */
  readonly listens: string;
  /** Its server subscribes it without being asked. */
  readonly unasked: boolean;
  /** The channel it publishes to, "" for none. */
  readonly publishes: string;
}

export function placeOf(layout: Layout, number: number): Place {
  switch (layout.kind) {
    case "one":
      return { listens: layout.channel, unasked: false, publishes: "" };
    case "rooms": {
      const room = `${layout.channel}-${Math.floor(number / layout.size)}`;
      return { listens: room, unasked: false, publishes: room };
    }
    case "fanin": {
      const listener = number - layout.clients;
      return listener >= 0
        ? { listens: `${layout.channel}-${listener}`, unasked: false, publishes: "" }
        : { listens: "", unasked: false, publishes: `${layout.channel}-${number % layout.channels}` };
    }
    case "inbox":
      return { listens: `${layout.prefix}${number}`, unasked: true, publishes: "" };
  }
}

/** Clients the layout has in all. */
export function headcount(layout: Layout): number {
  return layout.kind === "fanin" ? layout.clients + layout.channels : layout.clients;
}

/** Messages a client should get when every publisher has published `each` to every channel of its own. */
export function expected(layout: Layout, number: number, each: number): number {
  return publishersHeard(layout, number) * each;
}

/** As {@link expected}, of all clients together. */
export function expectedInAll(layout: Layout, each: number): number {
  let publishers = 0;
  for (let number = 0; number < headcount(layout); number++) publishers += publishersHeard(layout, number);
  return publishers * each;
}

function publishersHeard(layout: Layout, number: number): number {
  switch (layout.kind) {
    case "one":
    case "inbox":
      return 1;
    case "rooms": {
      const first = Math.floor(number / layout.size) * layout.size;
      return Math.min(layout.size, layout.clients - first);
    }
    case "fanin": {
      const listener = number - layout.clients;
      return listener < 0 ? 0 : Math.ceil((layout.clients - listener) / layout.channels);
    }
  }
}
