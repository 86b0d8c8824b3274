#!/usr/bin/env bun
import process from "node:process";
import { Command } from "commander";
import manifest from "../package.json" with { type: "json" };
import { complain, paint, UserError } from "./cli/output.ts";

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
    flags: [CONFIG_FLAG, ["-p, --port <port>", "port to listen on (default 8080)"]],
    run: async (options) => (await import("./cli/dev.ts")).dev({ ...options, version: manifest.version }),
  },
  {
    name: "serve",
    summary: "run one instance for production (secure by default)",
    flags: [CONFIG_FLAG],
    run: async (options) => (await import("./cli/serve.ts")).serve({ ...options, version: manifest.version }),
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
    ],
    run: async (options) => (await import("./cli/config.ts")).config(options),
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
  complain(`${paint("red", "trunkline:", process.stderr)} ${text}`);
  process.exitCode = 1;
}
