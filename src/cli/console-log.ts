import process from "node:process";
import { pino } from "pino";
import type { Config } from "../config.ts";
import {
  LOG_LEVELS,
  type LogFields,
  type Logger,
  type LogLevel,
  type LogSink,
  loggerTo,
} from "../core/log.ts";
import { paint } from "./output.ts";

/** Whoever reads stdout may stop reading: with so much waiting, lines are dropped, counted, and said to be. Bytes. */
const MOST_WAITING = 8 * 1024 * 1024;

/** Fields that hold secrets wherever they stand; none of ours do, and a mistake must not tell one. */
const SECRET_NAMES = ["password", "secret", "token", "authorization", "cookie", "apiKey", "api_key", "seed"];

/** Something that takes one line of JSON. */
interface LineWriter {
  write(line: string): void;
}

/**
 * The log of a process: one line each on stdout, as JSON or for people. Every line says which instance it is of.
 * @param worker number of the worker, where several share a port
 */
export function consoleLogger({ log, instanceId, region }: Config, worker?: number): Logger {
  const base = { instance: instanceId, region, ...(worker !== undefined && { worker }) };
  const people = log.format === "text";
  const stdout = new BoundedWriter(process.stdout);
  // A terminal shows one instance, or names each by itself.
  const writer = people ? { write: (line: string) => stdout.write(`${toText(line)}\n`) } : stdout;
  return loggerTo(pinoSink(writer, people ? {} : base), log.level);
}

/** The log of comings and goings: the process's own, or lines of JSON in a file; absent: nobody wants it. */
export function connectionLogger(config: Config, log: Logger, worker?: number): Logger | undefined {
  const { connections, connectionsFile: file } = config.log;
  if (connections === "off") return undefined;
  if (file === undefined) return log.with({ at: "connections" });
  // Appended to, so that whoever rotates it may copy and truncate; written without waiting, and never more than this waits.
  const destination = pino.destination({ dest: file, sync: false, maxLength: MOST_WAITING });
  const base = {
    instance: config.instanceId,
    region: config.region,
    ...(worker !== undefined && { worker }),
  };
  destination.on("error", (error: Error) =>
    log.error("the log of connections cannot be written", { file, error }),
  );
  return loggerTo(pinoSink(destination, base), "info");
}

/** Lines as pino writes them. Its own levels are left at the lowest: ours change for all loggers at once. */
export function pinoSink(writer: LineWriter, base: LogFields): LogSink {
  const root = pino(
    {
      level: "debug",
      base: {},
      messageKey: "message",
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
      redact: { paths: SECRET_NAMES.flatMap((name) => [name, `*.${name}`]), censor: "…" },
    },
    writer,
  );
  return new PinoSink(root, base);
}

class PinoSink implements LogSink {
  readonly #root: pino.Logger;
  readonly #bound: LogFields;
  readonly #lines: pino.Logger;

  constructor(root: pino.Logger, bound: LogFields) {
    this.#root = root;
    this.#bound = bound;
    this.#lines = root.child(bound);
  }

  write(level: LogLevel, message: string, fields: LogFields): void {
    // A name must not stand twice in a line: pino writes what is bound beside what is said.
    const twice = Object.keys(fields).some((name) => name in this.#bound);
    if (twice) this.#root[level]({ ...this.#bound, ...fields }, message);
    else this.#lines[level](fields, message);
  }

  with(fields: LogFields): LogSink {
    return new PinoSink(this.#root, { ...this.#bound, ...fields });
  }
}

/** Drops what a slow reader does not take. */
export class BoundedWriter implements LineWriter {
  readonly #stream: Pick<NodeJS.WriteStream, "write" | "writableLength">;
  readonly #most: number;
  #dropped = 0;

  constructor(stream: Pick<NodeJS.WriteStream, "write" | "writableLength">, most = MOST_WAITING) {
    this.#stream = stream;
    this.#most = most;
  }

  write(line: string): void {
    if (this.#stream.writableLength > this.#most) {
      this.#dropped++;
      return;
    }
    if (this.#dropped > 0) {
      const fact = { level: "warn", time: new Date().toISOString(), dropped: this.#dropped };
      this.#dropped = 0;
      this.#stream.write(
        `${JSON.stringify({ ...fact, message: "log lines were dropped: their reader is slow" })}\n`,
      );
    }
    this.#stream.write(line);
  }
}

const LEVEL_STYLES = { debug: "dim", info: "cyan", warn: "yellow", error: "red" } as const;

/** A line for people. A stack is shown with errors, indented below. */
function toText(json: string): string {
  const { time, level, message, stack, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const known = LOG_LEVELS.find((one) => one === level) ?? "info";
  const facts = Object.entries(fields).map(([key, value]) => `${key}=${shown(value)}`);
  const where =
    known === "error" && typeof stack === "string" ? stack.split("\n").map((line) => `\n    ${line}`) : [];
  return (
    [
      paint("dim", String(time).slice(11, 23)),
      paint(LEVEL_STYLES[known], known.padEnd(5)),
      String(message),
      ...facts,
    ].join(" ") + paint("dim", where.join(""))
  );
}

const shown = (value: unknown) => (typeof value === "object" ? JSON.stringify(value) : String(value));
