import { expect, test } from "bun:test";
import { trunkline } from "../helpers/command.ts";
import { inTerminal, NO_NOISE, type Run } from "../helpers/terminal.ts";
import { TEST_SECRET } from "../helpers/tokens.ts";

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
    { args: ["burn"], shows: /not one of list, look and replay/, code: 1 },
  ],
  import: [
    { args: ["soketi", "/nowhere/.env"], shows: /cannot read \/nowhere\/\.env/, code: 1 },
    { args: ["ably", "x"], shows: /from centrifugo, soketi, reverb/, code: 1 },
  ],
  why: [
    { args: ["--user", "ann"], shows: /NATS_URL is not set/, code: 1 },
    { args: [], shows: /--user, --channel, or both/, code: 1 },
  ],
  instances: [{ args: [], shows: /NATS_URL is not set/, code: 1 }],
  // With a system to ask: commands.test.ts.
  user: [
    { args: ["u7"], shows: /NATS_URL is not set/, code: 1 },
    { args: [], shows: /which user\?/, code: 1 },
  ],
  channel: [
    { args: ["chat:room", "--url", "http://127.0.0.1:1"], shows: /TRUNKLINE_API_KEYS/, code: 1 },
    { args: [], shows: /which channel\?/, code: 1 },
  ],
  top: [
    { args: [], shows: /NATS_URL is not set/, code: 1 },
    { args: ["--by", "age"], shows: /none of channels, connections, users, instances/, code: 1 },
  ],
  tail: [
    { args: ["--user", "u7"], shows: /NATS_URL is not set/, code: 1 },
    { args: [], shows: /what to look at\?/, code: 1 },
  ],
  publish: [
    { args: ["chat:room", "no json"], shows: /data must be JSON/, code: 1 },
    { args: ["chat:room"], shows: /with - for stdin/, code: 1 },
  ],
  history: [
    { args: ["chat:room", "--limit", "x"], shows: /--limit: it must be a whole number/, code: 1 },
    { args: [], shows: /which channel\?/, code: 1 },
  ],
  kick: [
    { args: ["u7"], shows: /NATS_URL is not set/, code: 1 },
    { args: [], shows: /who\?/, code: 1 },
  ],
  level: [{ args: ["debug"], shows: /NATS_URL is not set/, code: 1 }],
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
    expect(output).not.toMatch(NO_NOISE);
    expect(code, output).toBe(run.code ?? 0);
  },
  60_000,
);
