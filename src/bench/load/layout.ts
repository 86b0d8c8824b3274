import { unreachable } from "../../core/unreachable.ts";
/**
 * Which client subscribes and publishes where. Plain data, so that it can be sent to workers; depends on the client's
 * number alone.
 */
export type Layout =
  /** All clients subscribe to one channel; a service publishes. */
  | { readonly kind: "one"; readonly channel: string; readonly clients: number }
  /** The same, but for `near` clients, spread over all, who have a channel of their own beside: `<channel>-near`. */
  | { readonly kind: "crowd"; readonly channel: string; readonly clients: number; readonly near: number }
  /** Small channels: the members of each publish to each other. */
  | { readonly kind: "rooms"; readonly channel: string; readonly clients: number; readonly size: number }
  /** `clients` publish to a few channels and receive nothing; `channels` further clients only listen. */
  | { readonly kind: "fanin"; readonly channel: string; readonly clients: number; readonly channels: number }
  /** Each client has its own channel, to which the server subscribes it. */
  | { readonly kind: "inbox"; readonly prefix: string; readonly clients: number };

/** What one client does. */
export interface Place {
  /** The channel it subscribes to, "" for none. */
  readonly listens: string;
  /** The server subscribes it by itself. */
  readonly unasked: boolean;
  /** The channel it publishes to, "" for none. */
  readonly publishes: string;
}

export function placeOf(layout: Layout, number: number): Place {
  switch (layout.kind) {
    case "one":
      return { listens: layout.channel, unasked: false, publishes: "" };
    case "crowd": {
      const channel = isNear(layout, number) ? nearChannel(layout) : layout.channel;
      return { listens: channel, unasked: false, publishes: "" };
    }
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
    default:
      return unreachable(layout);
  }
}

type Crowd = Extract<Layout, { kind: "crowd" }>;

export function nearChannel({ channel }: Crowd): string {
  return `${channel}-near`;
}

function isNear({ clients, near }: Crowd, number: number): boolean {
  const step = Math.max(1, Math.floor(clients / near));
  return number % step === 0 && number / step < near;
}

/** All clients of the layout. */
export function headcount(layout: Layout): number {
  return layout.kind === "fanin" ? layout.clients + layout.channels : layout.clients;
}

/** Messages a client should get when every publisher has published `each` to every channel of its own. */
export function expected(layout: Layout, number: number, each: number): number {
  return publishersHeard(layout, number) * each;
}

/** As {@link expected}, for all clients together. */
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
    case "crowd":
      return isNear(layout, number) ? 0 : 1;
    case "rooms": {
      const first = Math.floor(number / layout.size) * layout.size;
      return Math.min(layout.size, layout.clients - first);
    }
    case "fanin": {
      const listener = number - layout.clients;
      return listener < 0 ? 0 : Math.ceil((layout.clients - listener) / layout.channels);
    }
    default:
      return unreachable(layout);
  }
}
