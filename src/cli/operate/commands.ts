import type { CommandRow } from "../command-row.ts";
import { WHERE_FLAG } from "../restriction-flags.ts";

const JSON_FLAG = ["--json", "print JSON"] as const;

/** Commands of whoever looks after a running system; each asks any instance about all. */
export const OPERATOR_COMMANDS: readonly CommandRow[] = [
  {
    name: "user [id]",
    summary: "show a user's connections, their subscriptions and rights, and what was refused to them",
    flags: [JSON_FLAG, WHERE_FLAG],
    run: async (options, args) => (await import("./user.ts")).user(options, args),
  },
  {
    name: "channel [name]",
    summary: "show a channel's subscribers, its end, what it keeps, and the settings in force",
    flags: [JSON_FLAG, WHERE_FLAG],
    run: async (options, args) => (await import("./channel.ts")).channel(options, args),
  },
  {
    name: "top",
    summary: "show the busiest channels, connections, users and instances, counted for some seconds",
    flags: [
      ["--by <kind>", "only these: channels, connections, users or instances"],
      ["--seconds <number>", "how long to count (default 2)"],
      ["--limit <number>", "how many of each (default 10)"],
      JSON_FLAG,
      WHERE_FLAG,
    ],
    run: async (options) => (await import("./top.ts")).top(options),
  },
  {
    name: "tail",
    summary: "follow what happens to a user, channel, connection or instance, step by step (Ctrl+C ends it)",
    flags: [
      ["--user <id>", "a user's connections"],
      ["--channel <name>", "a channel"],
      ["--client <id>", "one connection"],
      ["--instance <instance>", "only on this instance"],
      ["--payloads", "show the bodies of messages, where trace.payloads allows it"],
      JSON_FLAG,
      WHERE_FLAG,
    ],
    run: async (options) => (await import("./tail.ts")).tail(options),
  },
  {
    name: "publish [channel] [data]",
    summary: "publish a message: any JSON, or - to read it from stdin",
    flags: [["--id <key>", "idempotency key: stored once within two minutes"], JSON_FLAG, WHERE_FLAG],
    run: async (options, args) => (await import("./messages.ts")).publish(options, args),
  },
  {
    name: "history [channel]",
    summary: "show the newest messages that a channel keeps",
    flags: [
      ["--limit <number>", "how many (default 20)"],
      ["--oldest", "the oldest instead"],
      JSON_FLAG,
      WHERE_FLAG,
    ],
    run: async (options, args) => (await import("./messages.ts")).history(options, args),
  },
  {
    name: "kick [user]",
    summary: "close a user's connections; without --back their clients stay away (block keeps the user out)",
    flags: [
      ["--client <id>", "only this connection"],
      ["--back", "with a code after which clients come back at once"],
      JSON_FLAG,
      WHERE_FLAG,
    ],
    run: async (options, args) => (await import("./messages.ts")).kick(options, args),
  },
  {
    name: "level [level]",
    summary: "show or change the level of the log of running instances: debug, info, warn, error",
    flags: [
      ["--instance <instance>", "only this instance"],
      ["--seconds <number>", "go back after so long"],
      JSON_FLAG,
      WHERE_FLAG,
    ],
    run: async (options, args) => (await import("./messages.ts")).level(options, args),
  },
];
