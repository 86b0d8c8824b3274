import { describe, expect, test } from "bun:test";
import { BoundedWriter, pinoSink } from "../../src/cli/console-log.ts";
import { CommandError, Errors } from "../../src/core/errors.ts";
import { createLogger, type LogFields, loggerTo } from "../../src/core/log.ts";
import { readTraceContext, traceField } from "../../src/core/trace-context.ts";

type Line = Readonly<Record<string, unknown>>;

/** A logger of each kind, and what it has written. */
const KINDS = {
  objects(base: LogFields) {
    const lines: Line[] = [];
    return { lines, log: createLogger("info", (line) => lines.push(line), base) };
  },
  pino(base: LogFields) {
    const lines: Line[] = [];
    const texts: string[] = [];
    const write = (line: string) => {
      texts.push(line);
      lines.push(JSON.parse(line));
    };
    return { lines, texts, log: loggerTo(pinoSink({ write }, base), "info") };
  },
} as const;

describe.each(Object.entries(KINDS))("a log of %s", (_, make) => {
  test("carries the fields of its makers, and says each name once", () => {
    const { lines, log } = make({ instance: "a", region: "fra" });
    log.with({ at: "gateway" }).with({ client: "c1" }).warn("odd", { code: 103, instance: "b" });
    const { time, ...rest } = lines[0]!;
    expect(rest).toEqual({
      ...{ level: "warn", message: "odd", instance: "b", region: "fra", at: "gateway" },
      ...{ client: "c1", code: 103 },
    });
    expect(String(time)).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  test("changes its level for all that were made of it, and traces only when asked to", () => {
    const { lines, log } = make({});
    const child = log.with({ at: "gateway" });
    child.debug("unsaid");
    expect([child.trace, child.level]).toEqual([undefined, "info"]);
    log.setLevel("debug");
    child.debug("said");
    child.trace?.("a step", { client: "c1" });
    child.setLevel("error");
    log.warn("unsaid");
    log.error("said, too");
    expect(child.trace).toBeUndefined();
    expect(lines.map(({ message }) => message)).toEqual(["said", "a step", "said, too"]);
  });

  test("tells an error with its causes and its stack, and of a refusal the text alone", () => {
    const { lines, log } = make({});
    log.error("failed", { error: new TypeError("no", { cause: new Error("a closed socket") }) });
    log.error("refused", { error: new CommandError(Errors.permissionDenied, "not yours") });
    expect(lines[0]!.error).toBe("TypeError: no; because of Error: a closed socket");
    expect(lines[0]!.stack).toMatch(/^at .*log\.test\.ts/m);
    expect(lines[1]).not.toHaveProperty("stack");
    expect(lines[1]!.error).toBe("CommandError: permission denied: not yours");
  });

  const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl";
  test.each([
    ["a login in a URL", "cannot reach nats://gw:hunter2@10.0.0.1:4222", /nats:\/\/…@10/],
    ["a query", "GET /x?api_key=hunter2&a=1 failed", /api_key=…&a=1/],
    ["a header", "Authorization: Bearer hunter2 was refused", /Authorization: … was refused/],
    ["a member of JSON", '{"password":"hunter2","a":1}', /"password":"…","a":1/],
    ["a token", `refused ${jwt.replace("c2ln", "hunter2")}`, /refused eyJ…$/],
  ])("leaves out what looks like a secret in the text of others: %s", (_name, text, shown) => {
    const { lines, log } = make({});
    log.warn("as a text", { error: text });
    log.warn("as an error", { error: new Error(text) });
    log.with({ error: text }).warn("bound");
    expect(JSON.stringify(lines)).not.toContain("hunter2");
    for (const line of lines) expect(line.error).toMatch(shown);
  });

  test("tells nothing that a client of others keeps in an error", () => {
    const { lines, log } = make({});
    const error = Object.assign(new Error("WRONGPASS"), { command: { name: "AUTH", args: ["hunter2"] } });
    log.error("failed", { error });
    expect(JSON.stringify(lines)).not.toContain("hunter2");
  });
});

test("a trace id is taken from a traceparent, and from nothing else", () => {
  const id = "4bf92f3577b34da6a3ce929d0e0e4736";
  expect(traceField(readTraceContext(`00-${id}-00f067aa0ba902b7-01`))).toEqual({ trace_id: id });
  for (const none of [
    undefined,
    null,
    "",
    id,
    `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
    `00-${id.toUpperCase()}-x-01`,
  ])
    expect(traceField(readTraceContext(none))).toEqual({});
});

test("a field whose name is a secret's is left out, wherever it stands", () => {
  const { texts, log } = KINDS.pino({});
  log.info("settings", { token: "hunter2", nats: { password: "hunter2", user: "gw" } });
  log.with({ authorization: "hunter2" }).info("bound");
  expect(texts.join("")).not.toContain("hunter2");
  expect(texts[0]).toContain('"user":"gw"');
});

test("a reader that does not read costs lines and no memory, and is told how many", () => {
  const stream = {
    written: [] as string[],
    writableLength: 0,
    write: (line: string) => stream.written.push(line) > 0,
  };
  const writer = new BoundedWriter(stream, 100);
  writer.write("one\n");
  stream.writableLength = 101;
  for (let n = 0; n < 3; n++) writer.write("lost\n");
  stream.writableLength = 0;
  writer.write("two\n");
  expect(stream.written).toHaveLength(3);
  expect(JSON.parse(stream.written[1]!)).toMatchObject({ level: "warn", dropped: 3 });
  expect([stream.written[0], stream.written[2]]).toEqual(["one\n", "two\n"]);
});
