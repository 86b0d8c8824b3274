import { describe, expect, test } from "bun:test";
import type { JetStreamAccountStats } from "nats";
import { eventStream } from "../../src/broker/nats/streams/config.ts";
import { advisories } from "../../src/cli/doctor/nats.ts";
import { type Finding, overall, toJson, toText } from "../../src/cli/doctor/report.ts";
import { checkLimits } from "../../src/cli/doctor/streams.ts";
import { subjects } from "../../src/core/subject.ts";

const OK: Finding = { check: "clock", verdict: "ok", what: "right" };
const WARNING: Finding = {
  check: "origins",
  verdict: "warning",
  what: "all",
  cause: "open",
  fix: "one\ntwo",
};
const FAILED: Finding = { check: "port", verdict: "failed", what: "taken", fix: "ss" };

describe("the report", () => {
  test("for people who read a file", () => {
    expect(toText([OK, WARNING, FAILED], {})).toBe(
      [
        "ok       clock    right",
        "warning  origins  all",
        "                  why  open",
        "                  fix  one",
        "                       two",
        "failed   port     taken",
        "                  fix  ss",
        "",
        "1 ok, 1 warning, 1 failed",
      ].join("\n"),
    );
  });

  test("for terminals: symbols and colours, in the same columns", () => {
    const colours = process.env.NO_COLOR;
    delete process.env.NO_COLOR;
    const text = toText([OK, WARNING, FAILED], { isTTY: true });
    if (colours !== undefined) process.env.NO_COLOR = colours;
    expect(text).toContain("\x1b[32m✓ ok     \x1b[0m  clock    right");
    expect(text).toContain("\x1b[31m✗ failed \x1b[0m  port     taken");
    const plain = Bun.stripANSI(text).split("\n");
    expect(plain[2]!.indexOf("why")).toBe(plain[1]!.indexOf("all"));
  });

  test("for programs", () => {
    expect(toJson([OK, WARNING, FAILED])).toEqual({
      verdict: "failed",
      counts: { ok: 1, warning: 1, failed: 1 },
      checks: [OK, WARNING, FAILED],
    });
    expect([overall([OK]), overall([WARNING, OK])]).toEqual(["ok", "warning"]);
  });
});

describe("limits of an account", () => {
  const NONE = {
    ...{ max_memory: -1, max_storage: -1, max_streams: -1, max_consumers: -1, max_ack_pending: -1 },
    ...{ memory_max_stream_bytes: -1, storage_max_stream_bytes: -1, max_bytes_required: 0 },
  };
  const account = (own: object): JetStreamAccountStats => ({
    ...{ memory: 0, storage: 0, streams: 3, consumers: 0, limits: NONE, api: { total: 0, errors: 0 } },
    ...own,
  });
  const events = (replicas: number) => [eventStream(subjects(), { replicas, maxBytes: 1024 ** 3 })];
  const verdicts = (own: object, made = events(1)) =>
    [...checkLimits(account(own), made)].map(({ verdict, cause }) => [verdict, cause?.split(",")[0]]);

  test("that are none are wide enough", () => {
    expect(verdicts({})).toEqual([["ok", undefined]]);
  });

  test("count for streams that are yet to be made only", () => {
    const limits = { ...NONE, max_streams: 3 };
    expect(verdicts({ limits })).toEqual([["failed", "it may have 3 streams"]]);
    expect(verdicts({ limits }, [])).toEqual([["ok", undefined]]);
  });

  test("count each copy, and what others have reserved", () => {
    const limits = { ...NONE, max_storage: 2 * 1024 ** 3 };
    expect(verdicts({ limits })).toEqual([["ok", undefined]]);
    expect(verdicts({ limits }, events(3))[0]![0]).toBe("failed");
    expect(verdicts({ limits, reserved_storage: 1.5 * 1024 ** 3 })[0]![0]).toBe("failed");
  });

  test("may be given for each number of replicas", () => {
    const tiers = { R3: { ...account({}), limits: { ...NONE, max_streams: 10 } } };
    expect(verdicts({ tiers, limits: { ...NONE, max_streams: 0 } }, events(3))).toEqual([["ok", undefined]]);
    expect(verdicts({ tiers }, events(1))).toEqual([
      ["failed", "the account has nothing for streams of 1 replicas"],
    ]);
  });

  test("that are nearly reached are a warning", () => {
    const limits = { ...NONE, max_storage: 4 * 1024 ** 3 };
    expect(verdicts({ limits, storage: 3.5 * 1024 ** 3 }, [])[0]![0]).toBe("warning");
    expect(verdicts({ limits, storage: 1024 ** 3 }, [])[0]![0]).toBe("ok");
  });
});

test.each([
  ["2.9.10", 4],
  ["2.11.13", 4],
  ["2.11.14", 2],
  ["2.11.16", 0],
  ["2.12.5", 2],
  ["2.12.12", 0],
  ["2.14.0", 0],
  ["2.15.2", 0],
] as const)("nats-server %s has %d known holes", (version, count) => {
  expect(advisories(version)).toHaveLength(count);
});
