import { expect, test } from "bun:test";
import { join } from "node:path";
import { trunkline } from "../helpers/command.ts";
import { ensureServer } from "../helpers/servers.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";

const ROOT = join(import.meta.dir, "../..");
const CTRL_C = "\x03";

interface Run {
  readonly args: readonly string[];
  /** What must have been shown; then, for what does not end by itself, Ctrl+C is typed. */
  readonly shows: RegExp;
  readonly interrupt?: true;
  readonly code?: number;
  readonly env?: Readonly<Record<string, string>>;
}

const token = { TRUNKLINE_TOKEN_SECRET: TEST_SECRET };

/** Every command, in each of the forms that look different in a terminal. */
const RUNS: Readonly<Record<string, readonly Run[]>> = {
  dev: [
    { args: ["--port", "0"], shows: /Trunkline.*is up in region/s, interrupt: true },
    { args: ["--regions", "2", "--port", "0", "--latency", "off"], shows: /console\/world/, interrupt: true },
  ],
  serve: [{ args: [], shows: /listening/, interrupt: true, env: { PORT: "0", ...token } }],
  token: [
    { args: ["--user", "ann"], shows: /eyJ/, env: token },
    { args: ["read", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.x"], shows: /"ann"/, env: token, code: 1 },
  ],
  config: [
    { args: [], shows: /limits\.channels/ },
    { args: ["--dev"], shows: /limits\.channels/ },
    { args: ["--json"], shows: /"limits\.channels"/ },
    { args: ["--schema"], shows: /\$schema/ },
    { args: ["--docs"], shows: /# Configuration/ },
    { args: ["--nats"], shows: /accounts \{/ },
    { args: ["--reference", "api"], shows: /# Server API/ },
    { args: ["--reference", "soap"], shows: /none of api, control, openapi/, code: 1 },
  ],
  doctor: [{ args: [], shows: /ok, .* failed/, env: { PORT: "0", ...token } }],
  health: [{ args: ["--url", "http://127.0.0.1:1"], shows: /does not answer/, code: 1 }],
  revoke: [{ args: ["--user", "ann"], shows: /NATS_URL is not set/, code: 1 }],
  block: [{ args: ["--user", "ann", "--url", "http://127.0.0.1:1"], shows: /TRUNKLINE_API_KEYS/, code: 1 }],
  unblock: [{ args: ["--user", "ann"], shows: /NATS_URL is not set/, code: 1 }],
  list: [{ args: [], shows: /NATS_URL is not set/, code: 1 }],
  outbox: [
    { args: [], shows: /NATS_URL is not set/, code: 1 },
    { args: ["look"], shows: /which line\?/, code: 1 },
    { args: ["burn"], shows: /none of list, look and replay/, code: 1 },
  ],
  import: [
    { args: ["soketi", "/nowhere/.env"], shows: /cannot read \/nowhere\/\.env/, code: 1 },
    { args: ["ably", "x"], shows: /from centrifugo, soketi, reverb/, code: 1 },
  ],
  why: [
    { args: ["--user", "ann"], shows: /NATS_URL is not set/, code: 1 },
    { args: [], shows: /--user, --channel, or both/, code: 1 },
  ],
  instances: [{ args: [], shows: /the address of any instance/, code: 1 }],
  move: [
    { args: ["--from", "a"], shows: /NATS_URL is not set/, code: 1 },
    { args: [], shows: /which instance\?/, code: 1 },
  ],
  rebalance: [{ args: ["--url", "http://127.0.0.1:1"], shows: /TRUNKLINE_API_KEYS/, code: 1 }],
  streams: [{ args: [], shows: /no NATS is configured/, code: 1 }],
  life: [
    { args: ["new", "chat"], shows: /no NATS is configured/, code: 1 },
    { args: ["old", "chat"], shows: /trunkline life new <namespace>/, code: 1 },
  ],
  bench: [
    { args: ["idle", "-t", "trunkline", "-n", "2", "--rounds", "1"], shows: /clients in/ },
    { args: ["--plan"], shows: /instance/ },
    { args: ["check", "--target", "ws://127.0.0.1:1"], shows: /TRUNKLINE_API_KEYS/, code: 1 },
    { args: ["nonsense"], shows: /which scenario/, code: 1 },
  ],
};

/** Runs a command under a pseudo terminal, as a person would. */
async function inTerminal(command: string, { args, shows, interrupt, env }: Run) {
  const words = [process.execPath, join(ROOT, "src/main.ts"), command, ...args];
  const line = `stty rows 50 cols 120; exec ${words.map((word) => `'${word}'`).join(" ")}`;
  const { PATH = "", HOME = "" } = process.env;
  const child = Bun.spawn(["script", "-qec", line, "/dev/null"], {
    cwd: ROOT,
    env: {
      ...{ PATH, HOME, TERM: "xterm-256color", SHELL: "/bin/sh", COLUMNS: "120" },
      ...{ NATS_SERVER_BIN: ensureServer("nats-server"), REDIS_SERVER_BIN: ensureServer("redis-server") },
      ...env,
    },
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  let output = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) output += decoder.decode(chunk, { stream: true });
  })();
  if (interrupt) {
    await until(() => shows.test(output) || child.exitCode !== null, {
      what: `${line} to show`,
      timeoutMs: 40_000,
    });
    child.stdin.write(CTRL_C);
    await child.stdin.flush();
  }
  const code = await child.exited;
  await reading;
  return { code, output };
}

test("every command has been run in a terminal here", async () => {
  const { out } = await trunkline(["--help"]);
  const listed = [...out.split("Commands:")[1]!.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name!);
  expect(listed.filter((name) => name !== "help").toSorted()).toEqual(Object.keys(RUNS).toSorted());
});

const rows = Object.entries(RUNS).flatMap(([command, runs]) =>
  runs.map((run) => [[command, ...run.args].join(" "), command, run] as const),
);

test.each(rows)(
  "in a terminal: %s",
  async (_, command, run) => {
    const { code, output } = await inTerminal(command, run);
    expect(output).toMatch(run.shows);
    expect(output).not.toMatch(
      /^\s+at .*:\d+:\d+|TypeError|undefined is not|\bundefined\b|\[object Object\]/m,
    );
    expect(code, output).toBe(run.code ?? 0);
  },
  60_000,
);
