import { expect, test } from "bun:test";
import { Stats } from "../../src/core/stats.ts";
import { presenceKeys } from "../../src/presence/redis/keys.ts";
import type { Command, Reply } from "../../src/presence/redis/link.ts";
import { LinkError, ReplyError } from "../../src/presence/redis/link.ts";
import { Pipe } from "../../src/presence/redis/pipe.ts";
import { GUARD } from "../../src/presence/redis/scripts.ts";
import { until } from "../helpers/until.ts";

type Answer = Reply[] | LinkError;

/** A pipe over a link that answers as told. The answers of APPLY are the first argument of each operation. */
function pipeOver(answer: (commands: readonly Command[], nth: number) => Answer | Promise<Answer>) {
  const sent: (readonly Command[])[] = [];
  const failing: string[] = [];
  const stats = new Stats();
  const pipe = new Pipe({
    link: {
      async send(commands) {
        sent.push(commands);
        const replies = await answer(commands, sent.length);
        if (replies instanceof LinkError) throw replies;
        return replies;
      },
      reset() {},
      close() {},
    },
    ...{ keys: presenceKeys("tl:"), timeoutMs: 100, backstopMs: 1_000, stats },
    writer: () => ({ instance: "a", holder: "a|1", generation: "1" }),
    guard: {
      call: (hashes) => ({ script: GUARD, keys: ["lease", ...hashes], args: [] }),
      sizes: (reply) => (reply === "lost" ? undefined : hashesOf(reply)),
    },
    onFailing: (error) => failing.push(error.kind),
  });
  return { pipe, sent, failing, stats };
}

const hashesOf = (reply: Reply | undefined) => String(reply).split(" ").slice(1);

const operation = (text: string) => ({ keys: ["k"], args: [text] });
/** Operations of an APPLY call: two arguments stand before them, and one key each. */
const operations = (command: Command) => command.slice(3 + Number(command[2]) + 2);
const echo = (commands: readonly Command[]): Reply[] =>
  commands.map((command) => (command[0] === "EVALSHA" ? operations(command) : "OK"));

test("what waits goes together, in order, in pipelines of a bounded size", async () => {
  const { pipe, sent } = pipeOver(echo);
  const texts = Array.from({ length: 9_000 }, (_, n) => `${n}`.padStart(60, "0"));
  const answers = await Promise.all([
    pipe.ask([["PING"]]),
    ...texts.map((text) => pipe.write(operation(text))),
    pipe.ask([["PING"], ["PING"]]),
  ]);
  expect(answers.slice(1, -1)).toEqual(texts);
  expect([answers[0], answers.at(-1)]).toEqual([["OK"], ["OK", "OK"]]);
  expect(sent.flatMap(([apply]) => operations(apply!))).toEqual(texts);
  for (const commands of sent) {
    expect(commands.flat().join("").length).toBeLessThan(500_000);
    expect(commands.flat().length).toBeLessThan(9_000);
  }
  expect(sent.length).toBeLessThan(5);
});

test("one call is sent even when it is too large for a pipeline", async () => {
  const { pipe } = pipeOver(echo);
  const large = "x".repeat(600_000);
  expect(await Promise.all([pipe.write(operation(large)), pipe.write(operation("y"))])).toEqual([large, "y"]);
});

test("a pipeline at a time: what is asked meanwhile goes in the next", async () => {
  const gate = Promise.withResolvers<void>();
  const { pipe, sent } = pipeOver(async (commands) => {
    await gate.promise;
    return echo(commands);
  });
  const first = pipe.write(operation("1"));
  await until(() => sent.length === 1);
  const rest = ["2", "3", "4"].map((text) => pipe.write(operation(text)));
  await Bun.sleep(1);
  expect(sent).toHaveLength(1);
  gate.resolve();
  expect(await Promise.all([first, ...rest])).toEqual(["1", "2", "3", "4"]);
  expect(sent).toHaveLength(2);
});

test("a forgotten script is sent whole, alone, once", async () => {
  const { pipe, sent, stats, failing } = pipeOver((commands) =>
    commands.map((command) =>
      command[0] === "EVALSHA" ? new ReplyError("NOSCRIPT No matching script.") : operationsOr(command),
    ),
  );
  expect(await Promise.all([pipe.write(operation("1")), pipe.ask([["GET", "k"]])])).toEqual(["1", ["OK"]]);
  expect(sent.map((commands) => commands.map(([verb]) => verb))).toEqual([["EVALSHA", "GET"], ["EVAL"]]);
  expect([stats.presenceCommands, stats.presenceErrors, failing.length]).toEqual([3, 0, 0]);
});

function operationsOr(command: Command): Reply {
  return command[0] === "EVAL" ? operations(command) : "OK";
}

test("a failed pipeline is not repeated, and nobody waits or is thrown at", async () => {
  const { pipe, sent, stats } = pipeOver(() => new LinkError("timeout"));
  expect(await Promise.all([pipe.write(operation("1")), pipe.ask([["PING"]])])).toEqual([
    undefined,
    undefined,
  ]);
  expect(sent).toHaveLength(1);
  expect([stats.presenceTimeouts, stats.presenceErrors]).toEqual([1, 0]);
});

test("an error in answer to one command fails that call only, but counts", async () => {
  const { pipe, stats } = pipeOver((commands) =>
    commands.map(([verb]) => (verb === "BAD" ? new ReplyError("ERR") : "OK")),
  );
  expect(await Promise.all([pipe.ask([["PING"]]), pipe.ask([["PING"], ["BAD"]])])).toEqual([
    ["OK"],
    undefined,
  ]);
  expect(stats.presenceErrors).toBe(1);
});

test("failing is: refused, or more than one and more than a tenth of the last twenty", async () => {
  const run = async (pattern: string) => {
    const { pipe, failing } = pipeOver((_, nth) =>
      pattern[nth - 1] === "x" ? new LinkError("timeout") : ["OK"],
    );
    for (const _ of pattern) await pipe.ask([["PING"]]);
    return failing.length > 0;
  };
  expect(await run("x")).toBe(false);
  expect(await run("xx")).toBe(true);
  expect(await run(`${".".repeat(19)}x${".".repeat(9)}x`)).toBe(false);
  expect(await run(`${".".repeat(19)}x${".".repeat(4)}x${".".repeat(4)}x`)).toBe(true);
  expect(await run(`x${".".repeat(19)}x${".".repeat(19)}x`)).toBe(false);
  const { pipe, failing } = pipeOver(() => new LinkError("refused"));
  await pipe.ask([["PING"]]);
  expect(failing).toEqual(["refused"]);
});

test("the queue is bounded, and each call's latency counted", async () => {
  const { pipe, sent, stats } = pipeOver(echo);
  const waiting = Array.from({ length: 50_000 }, () => pipe.write(operation("1")));
  const refused = pipe.write(operation("1"));
  pipe.drop();
  expect(await refused).toBeUndefined();
  expect(new Set(await Promise.all(waiting))).toEqual(new Set([undefined]));
  expect(sent).toEqual([]);
  for (let n = 0; n < 1_100; n++) await pipe.ask([["PING"]]);
  expect(stats.presenceLatency.count).toBe(1_100);
});

test("one guard ends a pipeline of reads, and none of them counts when it says that something is lost", async () => {
  for (const lost of [false, true]) {
    const { pipe, sent } = pipeOver((commands) =>
      commands.map((command) => {
        if (command[0] !== "EVALSHA") return String(command[1]);
        return lost ? "lost" : command.slice(3).join(" ");
      }),
    );
    const answers = await Promise.all([
      pipe.read([["GET", "a"]], ["h1", "h2"]),
      pipe.ask([["GET", "b"]]),
      pipe.read([], ["h3"]),
      pipe.read([
        ["GET", "c"],
        ["GET", "d"],
      ]),
    ]);
    expect(sent.map((commands) => commands.map(([verb]) => verb))).toEqual([
      ["GET", "GET", "GET", "GET", "EVALSHA"],
    ]);
    expect(answers).toEqual(
      lost ? [undefined, ["b"], undefined, undefined] : [["a", "h1", "h2"], ["b"], ["h3"], ["c", "d"]],
    );
  }
});

test("sizes that a guard's answer lacks are none", async () => {
  const { pipe } = pipeOver((commands) =>
    commands.map((command) => (command[0] === "EVALSHA" ? "lease h1" : "x")),
  );
  const answers = await Promise.all([
    pipe.read([], ["h1"]),
    pipe.read([], ["h2", "h3"]),
    pipe.read([["GET", "a"]]),
  ]);
  expect(answers).toEqual([["h1"], undefined, ["x"]]);
});
