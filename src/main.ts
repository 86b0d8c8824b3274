#!/usr/bin/env bun
import process from "node:process";
import { Command } from "commander";
import manifest from "../package.json" with { type: "json" };
import { paint, printError, UserError } from "./cli/output.ts";
import { TOKEN_FLAGS, TOKEN_USAGE } from "./cli/token/token.ts";

/** One command: its files are loaded when it runs, not before. */
interface Row {
  /** Its name, and what it takes beside flags as commander writes it (`token [token]`). */
  readonly name: string;
  readonly summary: string;
  /** Flags as commander writes them, with their descriptions. */
  readonly flags: readonly (readonly [flags: string, description: string])[];
  readonly run: (options: Record<string, unknown>, args: readonly string[]) => Promise<void>;
}

const CONFIG_FLAG = ["-c, --config <file>", "configuration file (default: $TRUNKLINE_CONFIG)"] as const;

const commands: readonly Row[] = [
  {
    name: "dev",
    summary:
      "run one instance on this machine: everything embedded, anonymous clients may do everything, demo page",
    flags: [
      CONFIG_FLAG,
      ["-p, --port <port>", "port to listen on (default 8080)"],
      ["--regions <regions>", "a world of several regions instead: how many, or such as iad,fra,sin"],
      ["--instances <number>", "with --regions: instances of each (default 1)"],
      ["--latency <ms>", "with --regions: round trip of each link in ms, real (the default) or off"],
      ["--json", "with --regions: everything as lines of JSON"],
    ],
    run: async (options) => (await import("./cli/dev.ts")).dev({ ...options, version: manifest.version }),
  },
  {
    name: "serve",
    summary: "run one instance for production, or several workers on one port (secure by default)",
    flags: [
      CONFIG_FLAG,
      ["-w, --workers <number>", "processes that share the port, each an instance of its own (default 1)"],
      ["--worker <n>", "be number n of several workers that something else starts, such as systemd"],
    ],
    run: async (options) => (await import("./cli/start.ts")).serve({ ...options, version: manifest.version }),
  },
  {
    name: TOKEN_USAGE,
    summary: "make a token, or show what one says",
    flags: TOKEN_FLAGS,
    run: async (options, args) => (await import("./cli/token/token.ts")).token(options, args),
  },
  {
    name: "config",
    summary: "print the settings in effect and where each came from, without secrets",
    flags: [
      CONFIG_FLAG,
      ["--dev", "as `trunkline dev` would see them"],
      ["--json", "as JSON (also when the output is no terminal)"],
      ["--schema", "print the JSON Schema of the configuration file instead"],
      ["--docs", "print the documentation of all settings instead"],
      ["--nats", "print the account, mappings and rights for nats-server's configuration instead"],
    ],
    run: async (options) => (await import("./cli/config.ts")).config(options),
  },
  {
    name: "doctor",
    summary: "check that this machine and these settings can run an instance, and say what to type where not",
    flags: [CONFIG_FLAG, ["--json", "as JSON"]],
    run: async (options) =>
      (await import("./cli/doctor/doctor.ts")).doctor({
        ...options,
        bun: manifest.engines.bun.replace(">=", ""),
      }),
  },
  {
    name: "bench [scenario]",
    summary:
      "load an instance with thousands of clients, beside controls: idle, broadcast, rooms, fanin, inbox, churn, storm; " +
      "or check that one keeps its guarantees: check; or measure between regions, in a world of them: regions",
    flags: [
      ["-n, --clients <number>", "clients at once (default 1000)"],
      [
        "-t, --target <targets>",
        "some of trunkline, bun, ws, socketio, centrifugo, centrifuge-go (default bun,trunkline), or ws://host:port",
      ],
      ["--inbox", "give every client a user of its own, and so an inbox"],
      ["--rate <number>", "messages, or connects for churn, a second (default: the scenario's)"],
      ["--seconds <number>", "for how long (default 10)"],
      ["--room-size <number>", "rooms: members of each (default 10)"],
      ["--channels <number>", "fanin: channels published to (default 4)"],
      ["--rounds <number>", "rounds for each target, in turn (default 3)"],
      ["--instances <number>", "processes of each target (default: as many as the clients need)"],
      ["--workers <number>", "processes of the load generator (default: as many as the clients need)"],
      ["--stack", "start a nats-server and a redis-server of its own (always so for several instances)"],
      [
        "--channel <name>",
        "channel of a ws:// target (default bench; check: what names begin with, chat:check)",
      ],
      ["--nats <urls>", "check: publish over NATS (default $NATS_URL, else the server API of the targets)"],
      ["--plot <file>", "write a picture, as SVG"],
      ["--json", "print every round as JSON"],
      [
        "--plan",
        "load nothing: work out what a system of a size needs, from what was measured, and what it costs",
      ],
      ["--connections <numbers>", "plan: open at the same time; several sizes with commas (default 1000000)"],
      ["--messages-per-second <numbers>", "plan: published, for each size (default 1000)"],
      ["--fanout <number>", "plan: subscribers a message reaches (default 100)"],
      ["--message-bytes <number>", "plan: of one message (default 100)"],
      ["--regions <number>", "plan (default 1); regions: how many, or which, as dev --regions (default 3)"],
      ["--session-minutes <number>", "plan: life of a connection (default 60)"],
      ["--replicas <number>", "plan: copies of a stream in its home region (default 3)"],
      ["--load <part>", "plan: of a processor that may be used (default 0.5)"],
      ["--spare <part>", "plan: instances beyond what is needed (default 0.25)"],
      ["--connections-per-worker <number>", "plan: of one process at most (default 19000, as measured)"],
      ["--machine-month <dollars>", "plan: a machine with 2 CPUs and 4 GB"],
      ["--egress-gb <dollars>", "plan: a GB sent to clients"],
      ["--redis-per-100k <dollars>", "plan: 100,000 Redis commands"],
    ],
    run: async (options, args) =>
      options.plan
        ? (await import("./cli/bench/plan.ts")).benchPlan(options)
        : args[0] === "check"
          ? (await import("./cli/bench/check.ts")).benchCheck(options)
          : args[0] === "regions"
            ? (await import("./cli/bench/regions.ts")).benchRegions(options)
            : (await import("./cli/bench/bench.ts")).bench(options, args),
  },
];

const program = new Command("trunkline")
  .description(manifest.description)
  .version(manifest.version)
  .showHelpAfterError("(trunkline --help lists the commands)");

for (const row of commands) {
  const command = program.command(row.name).description(row.summary);
  for (const [flags, description] of row.flags) command.option(flags, description);
  command.action(async (...args: unknown[]) => {
    const self = args.at(-1) as Command;
    await row.run(self.opts(), self.args);
  });
}

try {
  await program.parseAsync(process.argv);
} catch (error) {
  const text = error instanceof UserError ? error.message : String((error as Error)?.stack ?? error);
  printError(`${paint("red", "trunkline:", process.stderr)} ${text}`);
  process.exitCode = 1;
}
