import { describe, expect, test } from "bun:test";
import type { ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import type { FromWorker, ToWorker } from "../../src/cli/reload/messages.ts";
import { WorkerMetrics } from "../../src/cli/scrape/worker.ts";
import { Workers } from "../../src/cli/workers.ts";
import { loadConfig } from "../../src/config.ts";
import { createLogger, type LogFields } from "../../src/core/log.ts";
import { stoppedClock } from "../gateway/time.ts";

/** A worker's process that does what the test says. */
class FakeWorker extends EventEmitter {
  readonly number: number;
  readonly orders: string[] = [];
  readonly told: ToWorker[] = [];
  connected = true;
  constructor(number: number) {
    super();
    this.number = number;
  }
  kill(signal: string): boolean {
    this.orders.push(signal);
    return true;
  }
  send(order: ToWorker): boolean {
    this.orders.push(order.kind);
    this.told.push(order);
    return true;
  }
  /** Says something to its supervisor. */
  says(message: FromWorker): void {
    this.emit("message", message);
  }
  listen(): void {
    this.says({ kind: "listening", url: "http://127.0.0.1:1" });
  }
  /** Answers the newest `prepare`. */
  prepared(...problems: string[]): void {
    const asked = this.told.findLast((one) => one.kind === "prepare");
    this.says({ kind: "prepared", id: (asked as { id: number }).id, problems });
  }
  exit(code: number | null, signal: string | null = null): void {
    this.emit("exit", code, signal);
  }
}

function rig(workers: number) {
  const file = JSON.stringify({ workers, nats: { urls: ["nats://127.0.0.1:1"] } });
  const loaded = loadConfig({ env: {}, file });
  if (loaded.problems) throw new Error(loaded.problems.join("\n"));
  const lines: ({ message: string } & LogFields)[] = [];
  const forked: FakeWorker[] = [];
  const supervisor = new Workers({
    ...{ config: loaded.config, port: 1, file: undefined, startMs: 5_000 },
    log: createLogger("info", (line) => lines.push(line)),
    fork: (flags) => {
      const worker = new FakeWorker(Number(flags[2]));
      forked.push(worker);
      return worker as unknown as ChildProcess;
    },
  });
  const state = { code: undefined as number | undefined };
  void supervisor.run().then((code) => {
    state.code = code;
  });
  return { supervisor, forked, state, said: () => lines.map(({ message }) => message), lines };
}

test("a worker that never listens is named and ended at its deadline, and the supervisor leaves with 1", async () => {
  using clock = stoppedClock();
  const { forked, state, lines } = rig(2);
  forked[0]!.listen();
  await clock.advance(4_000);
  expect(forked[1]!.orders).toEqual([]);
  await clock.advance(1_500);
  expect(forked[1]!.orders).toEqual(["SIGKILL"]);
  expect(lines.at(-1)).toMatchObject({
    message: "a worker is not listening: stopping it",
    worker: 2,
    afterMs: 5_000,
  });
  forked[1]!.exit(null, "SIGKILL");
  expect(forked[0]!.orders).toEqual(["leave"]);
  forked[0]!.exit(0);
  await clock.advance(0);
  expect(state.code).toBe(1);
});

test("one that hangs when it is started again is ended, too, and started after growing pauses", async () => {
  using clock = stoppedClock();
  const { forked, lines, state, supervisor } = rig(2);
  for (const worker of forked) worker.listen();
  forked[0]!.exit(1);
  const pauses: unknown[] = [];
  for (let life = 0; life < 7; life++) {
    const { restartMs } = lines.findLast(({ message }) => message === "a worker has ended")!;
    pauses.push(restartMs);
    await clock.advance(Number(restartMs));
    const worker = forked.at(-1)!;
    expect(worker.number).toBe(1);
    await clock.advance(5_500);
    expect(worker.orders).toEqual(["SIGKILL"]);
    worker.exit(null, "SIGKILL");
  }
  expect(pauses).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 10_000]);
  supervisor.stop();
  forked[1]!.exit(0);
  await clock.advance(0);
  expect(state.code).toBe(0);
});

test("a stop while workers start is none of their faults; one that must be killed is", async () => {
  using clock = stoppedClock();
  for (const [end, code] of [
    [[0, null], 0],
    [[null, "SIGTERM"], 0],
    [[1, null], 1],
    [[null, "SIGKILL"], 1],
  ] as const) {
    const { forked, state, supervisor } = rig(1);
    supervisor.stop();
    expect(forked[0]!.orders).toEqual(["SIGTERM"]);
    forked[0]!.exit(end[0], end[1]);
    await clock.advance(0);
    expect([end, state.code]).toEqual([end, code]);
  }
});

describe("a reload of workers", () => {
  const texts = { file: "{}", secrets: {} };

  test("holds for all when all are ready, and for one that starts later", async () => {
    using clock = stoppedClock();
    const { forked, supervisor } = rig(2);
    for (const worker of forked) worker.listen();
    const prepared = supervisor.prepare(texts);
    for (const worker of forked) worker.prepared();
    (await prepared).commit();
    expect(forked.map(({ orders }) => orders)).toEqual([
      ["prepare", "commit"],
      ["prepare", "commit"],
    ]);
    forked[0]!.exit(1);
    await clock.advance(250);
    forked[2]!.listen();
    forked[2]!.prepared();
    await clock.advance(0);
    expect(forked[2]!.told).toMatchObject([{ kind: "prepare", texts }, { kind: "commit" }]);
  });

  test("holds for none when one refuses, or says nothing in time", async () => {
    using clock = stoppedClock();
    const { forked, supervisor } = rig(2);
    for (const worker of forked) worker.listen();
    const refused = supervisor.prepare(texts).catch((error: { problems: string[] }) => error.problems);
    forked[0]!.prepared();
    forked[1]!.prepared("no such key set");
    expect(await refused).toEqual(["worker 2: no such key set"]);
    const late = supervisor.prepare(texts).catch((error: { problems: string[] }) => error.problems);
    forked[0]!.prepared();
    await clock.advance(30_000);
    expect(await late).toEqual(["worker 2: it is not ready after 30 s"]);
    for (const { orders } of forked) expect(orders).toEqual(["prepare", "abandon", "prepare", "abandon"]);
  });

  test("does not wait for one that ends", async () => {
    using _clock = stoppedClock();
    const { forked, supervisor } = rig(2);
    for (const worker of forked) worker.listen();
    const prepared = supervisor.prepare(texts);
    forked[0]!.prepared();
    forked[1]!.exit(1);
    (await prepared).commit();
    expect(forked[0]!.orders).toEqual(["prepare", "commit"]);
  });
});

describe("the metrics of workers", () => {
  const page = (value: number) =>
    `# HELP x_total What.\n# TYPE x_total counter\nx_total ${value}\nx_total{code="a"} 2\n`;
  const answers = (worker: FakeWorker, text: string) => {
    const asked = worker.told.findLast((one) => one.kind === "read");
    worker.says({ kind: "page", id: (asked as { id: number }).id, text });
  };

  test("are one page, each with its worker, for however many who scrape at once", async () => {
    using _clock = stoppedClock();
    const { forked, supervisor } = rig(2);
    for (const worker of forked) worker.listen();
    const both = Promise.all([supervisor.metrics(), supervisor.metrics()]);
    forked[0]!.says({ kind: "scrape", id: 7 });
    answers(forked[1]!, page(20));
    answers(forked[0]!, page(10));
    const [one, two] = await both;
    expect(two).toBe(one);
    expect(one.split("\n").filter((line) => line.includes("x_total"))).toEqual([
      "# HELP x_total What.",
      "# TYPE x_total counter",
      'x_total{worker="1"} 10',
      'x_total{worker="1",code="a"} 2',
      'x_total{worker="2"} 20',
      'x_total{worker="2",code="a"} 2',
    ]);
    expect(forked[0]!.told.filter(({ kind }) => kind === "read")).toHaveLength(1);
    expect(forked[0]!.told.findLast(({ kind }) => kind === "scraped")).toEqual({
      kind: "scraped",
      id: 7,
      text: one,
    });
  });

  test("say who is dead, who hangs, and who answers too late for another scrape", async () => {
    using clock = stoppedClock();
    const { forked, supervisor } = rig(3);
    for (const worker of forked) worker.listen();
    forked[0]!.exit(1);
    const scraped = supervisor.metrics();
    answers(forked[1]!, page(1));
    await clock.advance(3_000);
    const up = (text: string) => text.match(/trunkline_worker_up\{worker="(.)"\} 1/g)?.length;
    const text = await scraped;
    expect(up(text)).toBe(1);
    expect(text).toContain('trunkline_worker_up{worker="3"} 0');
    expect(text).toContain('trunkline_worker_ends_total{worker="1"} 1');
    const again = supervisor.metrics();
    const late = forked[2]!.told.find((one) => one.kind === "read") as { id: number };
    forked[2]!.says({ kind: "page", id: late.id, text: page(99) });
    answers(forked[1]!, page(2));
    forked[2]!.exit(1);
    expect(await again).not.toContain("99");
    expect(up(await again)).toBe(1);
  });

  test("of one whose supervisor says nothing are its own", async () => {
    using clock = stoppedClock();
    const said: FromWorker[] = [];
    const metrics = new WorkerMetrics(4, (message) => said.push(message));
    const all = metrics.ofAll({ contentType: "text/plain", text: async () => page(5) });
    const asked = all.text();
    expect(said).toEqual([{ kind: "scrape", id: 1 }]);
    await metrics.told({ kind: "read", id: 3 });
    expect(said[1]).toEqual({ kind: "page", id: 3, text: page(5) });
    await clock.advance(5_000);
    expect(await asked).toContain('x_total{worker="4"} 5');
  });
});
