import { expect, test } from "bun:test";
import { Stats } from "../../src/core/stats.ts";
import { ConnectionClock } from "../../src/gateway/session/connection-clock.ts";
import { Liveness } from "../../src/gateway/session/liveness.ts";
import type { Session } from "../../src/gateway/session/session.ts";
import { Subscriptions } from "../../src/gateway/session/subscriptions.ts";
import { centrifugeJson } from "../../src/protocol/centrifuge/json.ts";
import { until } from "../helpers/until.ts";

const PONG_MS = 150;

/** A session as far as the clock is concerned: it notes pings and its end. */
class Stub extends ConnectionClock {
  live = true;
  readonly state = "open";
  readonly codec = centrifugeJson;
  readonly subs = new Subscriptions();
  readonly expiresAt = 0;
  pings = 0;
  ended = 0;

  send() {
    this.pings++;
  }

  closeNow({ code }: { code: number }) {
    this.live = false;
    this.ended = code;
  }
}

test("a client that has answered is not dead because the event loop stood still, a mute one is", async () => {
  const stats = new Stats();
  const liveness = new Liveness(
    {
      connectDeadlineMs: 10_000,
      pingIntervalMs: 60_000,
      pongTimeoutMs: PONG_MS,
      refreshCallout: false,
      expiryGraceMs: 0,
    },
    stats,
    { inboxOffset: () => 0, subscriptionExpired() {} },
  );
  liveness.start();
  const [lively, mute] = [new Stub(), new Stub()];
  for (const one of [lively, mute]) {
    const session = one as unknown as Session;
    liveness.opened(session);
    liveness.connected(session);
    one.pingAt(performance.now());
    liveness.reschedule(session);
  }
  await until(() => lively.pings === 1 && mute.pings === 1);
  lively.seen(performance.now());
  // Longer than until the check, by more than what counts as a stall.
  const end = performance.now() + PONG_MS + 500;
  while (performance.now() < end);
  expect(mute.ended).toBe(0);
  await until(() => mute.ended !== 0, { what: "the mute one's end" });
  await Bun.sleep(2 * PONG_MS);
  liveness.stop();
  expect(mute.ended).toBe(3012);
  expect({ ended: lively.ended, pings: lively.pings }).toEqual({ ended: 0, pings: 1 });
  expect(stats.deadPeers).toBe(1);
});
