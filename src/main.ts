#!/usr/bin/env bun
import process from "node:process";
import { setTimeout } from "node:timers";
import { Command } from "commander";
import manifest from "../package.json" with { type: "json" };
import type { CommandRow } from "./cli/command-row.ts";
import { OPERATOR_COMMANDS } from "./cli/operate/commands.ts";
import { mindReader, paint, printError, UserError } from "./cli/output.ts";
import { RESTRICTION_FLAGS, RESTRICTION_SUMMARIES, WHERE_FLAG } from "./cli/restriction-flags.ts";
import { TOKEN_FLAGS, TOKEN_USAGE } from "./cli/token/token.ts";

/**
 * Runs a command for development, which the production image does not have.
 * @throws UserError when a file or an optional package of it is not installed
 */
async function development(name: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new UserError(
      `\`${name}\` is for development and not part of this installation (the production image, or an install without ` +
        `optional packages): clone the repository, then \`npm ci\` and \`npx trunkline ${name}\``,
    );
  }
}

const CONFIG_FLAG = ["-c, --config <file>", "configuration file (default: $TRUNKLINE_CONFIG)"] as const;

function restrictionRow({
  name,
  method,
}: {
  name: keyof typeof RESTRICTION_SUMMARIES;
  method: keyof typeof RESTRICTION_FLAGS;
}): CommandRow {
  return {
    ...{ name, summary: RESTRICTION_SUMMARIES[name], flags: RESTRICTION_FLAGS[method] },
    run: async (options) =>
      (await import("./cli/restrict.ts")).restrict(method, options as Record<string, string | true>),
  };
}

const commands: readonly CommandRow[] = [
  {
    name: "dev",
    summary:
      "run one instance for development, with a demo page: broker and presence embedded, all rights for anonymous clients",
    flags: [
      CONFIG_FLAG,
      ["-p, --port <port>", "port to listen on (default 8080)"],
      [
        "--regions <regions>",
        "start a world of several regions instead: how many, or which, such as iad,fra,sin",
      ],
      ["--instances <number>", "with --regions: instances per region (default 1)"],
      ["--latency <ms>", "with --regions: round trip of each link in ms, real (the default) or off"],
      ["--json", "with --regions: print everything as lines of JSON"],
    ],
    run: async (options) =>
      development("dev", async () =>
        (await import("./cli/dev.ts")).dev({ ...options, version: manifest.version }),
      ),
  },
  {
    name: "serve",
    summary: "run one instance for production, or several workers on one port (secure by default)",
    flags: [
      CONFIG_FLAG,
      ["-w, --workers <number>", "processes that share the port; each one is an instance (default 1)"],
      ["--worker <n>", "run only worker number n; another program, such as systemd, starts the others"],
    ],
    run: async (options) => (await import("./cli/start.ts")).serve({ ...options, version: manifest.version }),
  },
  {
    name: TOKEN_USAGE,
    summary: "make a token, or show what a token says",
    flags: TOKEN_FLAGS,
    run: async (options, args) => (await import("./cli/token/token.ts")).token(options, args),
  },
  {
    name: "config",
    summary: "print the settings in effect and where each came from, without secrets",
    flags: [
      CONFIG_FLAG,
      ["--dev", "show the settings that `trunkline dev` would use"],
      ["--json", "print JSON (the default if the output is not a terminal)"],
      ["--schema", "print the JSON Schema of the configuration file instead"],
      ["--docs", "print the documentation of all settings instead"],
      [
        "--reference <which>",
        "print a reference instead: api (of the server API), openapi (the same for tools), control (of control subjects), " +
          "events (their page), events-schema, events-python, events-go",
      ],
      [
        "--nats",
        "print accounts, mappings and the rights of each role for nats-server's configuration instead",
      ],
      ["--consumers <names>", "with --nats: durable consumers of events, a login for each (default events)"],
      ["--jwt <folder>", "with --nats: make nkeys, JWTs and a .creds file for each role there, no passwords"],
    ],
    run: async (options) =>
      (await import("./cli/config.ts")).config({ ...options, version: manifest.version }),
  },
  restrictionRow({ name: "revoke", method: "revoke" }),
  restrictionRow({ name: "block", method: "block" }),
  restrictionRow({ name: "unblock", method: "unblock" }),
  restrictionRow({ name: "list", method: "restrictions" }),
  {
    name: "outbox [action] [line]",
    summary:
      "events for webhooks: list the lines, look at what was set aside in one, or replay that (list, look, replay)",
    flags: [
      ["--waiting", "look: at what waits instead"],
      ["--limit <number>", "look: at most so many events (default 100)"],
      ["--id <id>", "replay: this event alone"],
      ["--json", "print JSON"],
      WHERE_FLAG,
    ],
    run: async (options, args) =>
      (await import("./cli/outbox-command.ts")).outbox(options as Record<string, string | true>, args),
  },
  {
    name: "why",
    summary:
      "why a user gets nothing, or a channel says nothing: asks every instance, the store and what was taken back",
    flags: [
      ["--user <id>", "a user"],
      ["--channel <name>", "a channel"],
      ["--json", "print JSON"],
      WHERE_FLAG,
    ],
    run: async (options) => (await import("./cli/why.ts")).why(options as Record<string, string | true>),
  },
  ...OPERATOR_COMMANDS,
  {
    name: "instances",
    summary: "show who runs: region, version, connections, users, channels",
    flags: [["--json", "print JSON"], WHERE_FLAG],
    run: async (options) =>
      (await import("./cli/why.ts")).instances(options as Record<string, string | true>),
  },
  {
    name: "move",
    summary:
      "have an instance let a part of its connections go, at a pace; they come back elsewhere and resume",
    flags: [
      ["--from <instance>", "the instance"],
      ["--share <part>", "part of them, such as 50% (default all)"],
      ["--user <id>", "only this user's"],
      ["--address <ip>", "only those from an address or a range"],
      ["--rate <number>", "connections a second (default 200)"],
      ["--json", "print JSON"],
      WHERE_FLAG,
    ],
    run: async (options) => (await import("./cli/move.ts")).move(options as Record<string, string | true>),
  },
  {
    name: "rebalance",
    summary: "have the fullest instances of each region let go of what is above the mean",
    flags: [
      ["--region <region>", "only this region"],
      ["--tolerance <part>", "how much above the mean is left alone (default 10%)"],
      ["--rate <number>", "connections a second of each instance (default 200)"],
      ["--dry-run", "only show what would be done"],
      ["--json", "print JSON"],
      WHERE_FLAG,
    ],
    run: async (options) =>
      (await import("./cli/move.ts")).rebalance(options as Record<string, string | true>),
  },
  {
    name: "import <server> <file>",
    summary:
      "write settings from those of centrifugo (config.json), soketi or reverb (.env), and say line by line what maps, differs " +
      "and is missing",
    flags: [
      ["-o, --out <file>", "write the settings there, for its owner alone (default: print them)"],
      ["--json", "print settings and lines as JSON"],
    ],
    run: async (options, args) => (await import("./cli/import/import.ts")).importSettings(args, options),
  },
  {
    name: "health",
    summary:
      "ask an instance whether its process answers, as a container's health check; exit code 1 when not",
    flags: [["--url <url>", "its address (default http://127.0.0.1:$PORT)"]],
    run: async (options) => (await import("./cli/health.ts")).health(options),
  },
  {
    name: "doctor",
    summary:
      "check that this machine and these settings can run an instance; for each failed check, print the command to type",
    flags: [
      CONFIG_FLAG,
      ["--json", "print JSON"],
      [
        "--roles [folder]",
        "try what each role of NATS may do: its .creds files, or <ROLE>_PASSWORD in the environment",
      ],
      [
        "--monitor <url>",
        "read what only nats-server's monitoring pages tell, such as http://127.0.0.1:8222",
      ],
    ],
    run: async (options) =>
      (await import("./cli/doctor/doctor.ts")).doctor({
        ...options,
        bun: manifest.engines.bun.replace(">=", ""),
      }),
  },
  {
    name: "streams",
    summary:
      "show what each stream of channels is: its life, cuts, newest message, size, replicas and copies",
    flags: [CONFIG_FLAG, ["--json", "print JSON"]],
    run: async (options) => (await import("./cli/streams/streams.ts")).streams(options),
  },
  {
    name: "life <new> <namespace>",
    summary:
      "give the streams of a namespace a new life: no position counts any more, every client reloads once; asks first",
    flags: [CONFIG_FLAG, ["--yes", "do not ask"], ["--json", "print JSON"]],
    run: async (options, args) => (await import("./cli/streams/life.ts")).life(options, args),
  },
  {
    name: "bench [scenario]",
    summary:
      "measure a gateway under thousands of clients, next to other servers: idle, broadcast, rooms, fanin, inbox, churn, " +
      "changing, storm; or check: does a running system keep its guarantees; or regions: latency between regions",
    flags: [
      ["-n, --clients <number>", "concurrent clients (default 1000)"],
      [
        "-t, --target <targets>",
        "what to measure: some of trunkline, bun, ws, socketio, centrifugo, centrifugo-redis, centrifuge-go " +
          "(default bun,trunkline), or a running gateway, ws://host:port",
      ],
      ["--inbox", "give every client its own user, and with it an inbox"],
      [
        "--rate <number>",
        "messages per second, or connects per second for churn (default: set by the scenario)",
      ],
      ["--seconds <number>", "duration (default 10)"],
      ["--changes <number>", "changing: clients per second that leave, and that come (default: 1 in 100)"],
      ["--room-size <number>", "rooms: members per room (default 10)"],
      ["--channels <number>", "fanin: channels to publish to (default 4)"],
      ["--rounds <number>", "rounds per target, alternating between targets (default 3)"],
      ["--instances <number>", "processes per target (default: as many as the clients need)"],
      ["--workers <number>", "load generator processes (default: as many as the clients need)"],
      ["--stack", "start a separate nats-server and redis-server (always with several instances)"],
      [
        "--channel <name>",
        "channel on a ws:// target (default bench); check: prefix of the channel names (default chat:check)",
      ],
      [
        "--nats <urls>",
        "check: publish through these NATS servers (default $NATS_URL, otherwise the targets' server API)",
      ],
      ["--plot <file>", "write a chart, as SVG"],
      ["--json", "print every round as JSON"],
      [
        "--plan",
        "measure nothing: calculate what a system of a given size needs and costs, from measured figures",
      ],
      [
        "--connections <numbers>",
        "plan: concurrent connections; separate several sizes with commas (default 1000000)",
      ],
      [
        "--messages-per-second <numbers>",
        "plan: messages published per second, one number per size (default 1000)",
      ],
      ["--fanout <number>", "plan: subscribers per message (default 100)"],
      ["--message-bytes <number>", "plan: size of a message (default 100)"],
      [
        "--regions <number>",
        "plan: number of regions (default 1); regions: how many, or which, as for dev --regions (default 3)",
      ],
      ["--session-minutes <number>", "plan: how long a connection lives (default 60)"],
      ["--replicas <number>", "plan: copies of a stream in its home region (default 3)"],
      ["--load <part>", "plan: highest CPU load, as a fraction (default 0.5)"],
      ["--spare <part>", "plan: spare instances, as a fraction (default 0.25)"],
      [
        "--connections-per-worker <number>",
        "plan: most connections per process (default 19000, as measured)",
      ],
      ["--machine-month <dollars>", "plan: price per month of a machine with 2 CPUs and 4 GB"],
      ["--egress-gb <dollars>", "plan: price of a GB sent to clients"],
      ["--redis-per-100k <dollars>", "plan: price of 100,000 Redis commands"],
    ],
    run: async (options, args) =>
      development("bench", async () => (await import("./cli/bench/command.ts")).benchCommand(options, args)),
  },
];

/** Time for what was printed to be written, ms. */
const LAST_WORDS_MS = 500;

const program = new Command("trunkline")
  .description(manifest.description)
  .version(manifest.version)
  .showHelpAfterError("(trunkline --help lists the commands)");

for (const row of commands) {
  const command = program.command(row.name).description(row.summary);
  for (const [flags, description] of row.flags) command.option(flags, description);
  command.showHelpAfterError(`(trunkline ${command.name()} --help lists its flags)`);
  command.action(async (...args: unknown[]) => {
    const self = args.at(-1) as Command;
    await row.run(self.opts(), self.args);
  });
}

mindReader(process.argv[2]);
try {
  await program.parseAsync(process.argv);
} catch (error) {
  const text = error instanceof UserError ? error.message : String((error as Error)?.stack ?? error);
  printError(`${paint("red", "trunkline:", process.stderr)} ${text}`);
  process.exitCode = 1;
  // Whatever may still be open, such as the channel to a supervisor: a command that has failed ends.
  setTimeout(() => process.exit(1), LAST_WORDS_MS).unref();
}
