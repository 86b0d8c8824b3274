import { expect, test } from "bun:test";
import type { Channel } from "../../src/gateway/channel/channel.ts";
import type { Subscription } from "../../src/gateway/session/subscription.ts";
import { Subscriptions } from "../../src/gateway/session/subscriptions.ts";

const sub = (id: string): Subscription => ({ channel: { id } as Channel, side: "client", overrides: {} });

// One stands in a field, a few in an array, many in a map: it must not show.
test.each([1, 2, 8, 9, 30])("%i subscriptions come, are found in order, and go one by one", (count) => {
  const subs = new Subscriptions();
  const all = Array.from({ length: count }, (_, n) => sub(`chat:${n}`));
  for (const [n, one] of all.entries()) {
    expect(subs.has(one.channel.id)).toBe(false);
    subs.add(one);
    expect(subs.size).toBe(n + 1);
  }
  expect(subs.values()).toEqual(all);
  subs.delete("chat:nobody");
  const gone = new Set<Subscription>();
  // From the middle outwards, so that first, last and inner ones go.
  for (const one of all.toSorted(
    (a, b) => Math.abs(all.indexOf(a) - count / 2) - Math.abs(all.indexOf(b) - count / 2),
  )) {
    for (const other of all) expect(subs.get(other.channel.id)).toBe(gone.has(other) ? undefined : other);
    subs.delete(one.channel.id);
    gone.add(one);
    expect(subs.values()).toEqual(all.filter((other) => !gone.has(other)));
    expect(subs.size).toBe(count - gone.size);
  }
  subs.add(all[0]!);
  expect(subs.values()).toEqual([all[0]!]);
});
