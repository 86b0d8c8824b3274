import { expect, spyOn, test } from "bun:test";
import { HeadAudit, type HeadAuditOptions } from "../../src/broker/nats/follow/head-audit.ts";
import { Stats } from "../../src/core/stats.ts";

test("the audit reads no heads before the stream has moved, and then each channel's once", () => {
  using now = spyOn(performance, "now");
  now.mockReturnValue(1e6);
  const life = { epoch: "e", firstSeq: 1, lastSeq: 5 };
  const progress = { live: true, state: "live", life, turn: 0, high: 5 };
  let visited = 0;
  const options = {
    progress,
    channels: new Map([["a", { closed: false }]]),
    pool: { run: () => visited++ },
    auditedPerTick: 10,
    stats: new Stats(),
    ...{ store: { any: {} }, replay: async () => {}, failed() {} },
  };
  const audit = new HeadAudit(options as unknown as HeadAuditOptions);
  audit.tick();
  expect(visited).toBe(0);
  life.lastSeq = 6;
  audit.tick();
  audit.tick();
  now.mockReturnValue(2e6);
  audit.tick();
  expect(visited).toBe(1);
  // The stream went back, and has come to the same sequence with other messages.
  progress.turn++;
  now.mockReturnValue(3e6);
  audit.tick();
  expect(visited).toBe(2);
});
