import type { GatewayContext } from "../context.ts";
import { type Busy, type Measured, MOST_BUSY as MOST, total } from "./busy.ts";
import type { Traffic } from "./meter.ts";
import { Sketch } from "./sketch.ts";

/** Ends a measurement of this instance; `undefined`: there is none. */
export function measured(context: GatewayContext, measurement: string): Measured | undefined {
  const { hub, instance, region, taps } = context;
  const found = taps.meter.take(measurement);
  if (!found) return undefined;
  const channels: Busy[] = [];
  const received = { connections: new Sketch(MOST), users: new Sketch(MOST) };
  for (const [name, { messages, bytes }] of found.channels.top(MOST)) {
    const channel = hub.channels.get(name);
    const size = channel?.size ?? 0;
    channels.push({
      name,
      messages_in: messages,
      bytes_in: bytes,
      messages_out: messages * size,
      bytes_out: bytes * size,
    });
    // What went to each is known by what it is subscribed to: to count it with each message would take a loop over all.
    for (const { client } of channel?.members() ?? []) {
      received.connections.add(client, messages, bytes);
      const user = hub.sessions.get(client)?.user ?? "";
      if (user !== "") received.users.add(user, messages, bytes);
    }
  }
  const connections = merged(found.connections, received.connections);
  return {
    ...{ instance, region, seconds: (performance.now() - found.beganAt) / 1_000, channels },
    totals: trafficSince(context.stats, found.before),
    connections: connections.map((one) => ({ ...one, user: hub.sessions.get(one.name)?.user ?? "" })),
    users: merged(found.users, received.users),
  };
}

function trafficSince(now: Traffic, before: Traffic) {
  return {
    messages_in: now.messagesIn - before.messagesIn,
    bytes_in: now.bytesIn - before.bytesIn,
    messages_out: now.deliveries - before.deliveries,
    bytes_out: now.bytesOut - before.bytesOut,
  };
}

/** The busiest of what was sent and what was received. */
function merged(sent: Sketch, received: Sketch): Busy[] {
  const all = new Map<string, Busy>();
  const of = (name: string) => {
    const one = all.get(name) ?? { name, messages_in: 0, bytes_in: 0, messages_out: 0, bytes_out: 0 };
    all.set(name, one);
    return one;
  };
  for (const [name, { messages, bytes }] of sent.top(MOST))
    Object.assign(of(name), { messages_in: messages, bytes_in: bytes });
  for (const [name, { messages, bytes }] of received.top(MOST))
    Object.assign(of(name), { messages_out: messages, bytes_out: bytes });
  return [...all.values()].sort((one, other) => total(other) - total(one)).slice(0, MOST);
}
