import process from "node:process";
import type { Config } from "../config.ts";
import { createLogger, type Logger } from "../core/log.ts";
import { paint } from "./output.ts";

/** The log of a process: one line each on stdout, as JSON or for people. */
export function consoleLogger({ log }: Config): Logger {
  return createLogger(log.level, (line) => {
    process.stdout.write(`${log.format === "json" ? JSON.stringify(line) : toText(line)}\n`);
  });
}

const LEVEL_STYLES = { debug: "dim", info: "cyan", warn: "yellow", error: "red" } as const;

function toText({
  time,
  level,
  message,
  ...fields
}: Parameters<Parameters<typeof createLogger>[1]>[0]): string {
  const facts = Object.entries(fields).map(([key, value]) => `${key}=${String(value)}`);
  return [
    paint("dim", time.slice(11, 23)),
    paint(LEVEL_STYLES[level], level.padEnd(5)),
    message,
    ...facts,
  ].join(" ");
}
