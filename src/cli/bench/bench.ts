import { writeFile } from "node:fs/promises";
import process from "node:process";
import { BenchError } from "../../bench/error.ts";
import { toSvg } from "../../bench/load/report/plot.ts";
import { describe, notes, toJson, toTable } from "../../bench/load/report/report.ts";
import { neededInstances, type Outcome, type RunOptions, run } from "../../bench/load/run.ts";
import { scenarioNames, scenarios } from "../../bench/load/scenario/scenario.ts";
import { isLoopback } from "../../bench/load/target/address.ts";
import type { TargetKind } from "../../bench/load/target/target.ts";
import { isPeer, peers } from "../../bench/load/target/targets.ts";
import { remote, trunkline } from "../../bench/load/target/trunkline.ts";
import { ChildError } from "../../process/error.ts";
import { type NatsAccess, natsOfEnvironment } from "../drivers.ts";
import { interruption } from "../interruption.ts";
import { columns, paint, print, printError, UserError } from "../output.ts";
import { parseInteger } from "../parse-integer.ts";
import { apiKeyOfEnvironment, secretOfEnvironment } from "../secrets.ts";
import { progress } from "./progress.ts";

/** Flags as commander hands them over: numbers are text. */
export interface BenchFlags {
  readonly clients?: string;
  readonly rounds?: string;
  readonly workers?: string;
  readonly instances?: string;
  readonly rate?: string;
  readonly seconds?: string;
  readonly changes?: string;
  readonly roomSize?: string;
  readonly channels?: string;
  readonly target?: string;
  readonly channel?: string;
  readonly inbox?: boolean;
  readonly stack?: boolean;
  readonly json?: boolean;
  readonly plot?: string;
}

/** `trunkline bench <scenario>`: loads a target and a control in turn, and prints the figures of both. */
export async function bench(flags: BenchFlags, args: readonly string[]): Promise<void> {
  const options = readOptions(flags, args[0]);
  const servers = secretOfEnvironment("NATS_URL");
  const nats = servers ? await natsOfEnvironment(servers, process.env) : undefined;
  const kinds = targets(flags, options, nats);

  const bar = progress();
  using stop = interruption();
  try {
    const outcome = await run(options, kinds, stop.signal, bar.show);
    bar.stop();
    print(flags.json ? JSON.stringify(toJson(options, outcome), null, 2) : report(options, outcome));
    if (flags.plot) {
      await writeFile(flags.plot, toSvg(describe(options), outcome.rows));
    }
    if (outcome.rows.some((row) => row.rounds.some(({ figures }) => !figures.joined))) process.exitCode = 1;
  } catch (error) {
    bar.stop();
    if (stop.signal.aborted) {
      printError("stopped");
      process.exitCode = 130;
    } else
      throw error instanceof BenchError || error instanceof ChildError ? new UserError(error.message) : error;
  }
}

function readOptions(flags: BenchFlags, name: string | undefined): RunOptions {
  const scenario = scenarioNames.find((known) => known === name);
  if (!scenario) {
    throw new UserError(`which scenario? one of ${scenarioNames.join(", ")}; such as: trunkline bench idle`);
  }
  const { ratePerSecond, seconds } = scenarios[scenario];
  const clients = parseInteger("--clients", flags.clients ?? "1000", 10_000_000);
  const maybe = (flag: string, text: string | undefined) =>
    text === undefined ? undefined : parseInteger(flag, text, 1_000);
  return {
    scenario,
    clients,
    rounds: parseInteger("--rounds", flags.rounds ?? "3", 100),
    workers: maybe("--workers", flags.workers),
    instances: maybe("--instances", flags.instances),
    inbox: flags.inbox ?? false,
    ratePerSecond: parseInteger("--rate", flags.rate ?? `${ratePerSecond}`, 1_000_000),
    seconds: parseInteger("--seconds", flags.seconds ?? `${seconds}`, 3_600),
    changesPerSecond: parseInteger("--changes", flags.changes ?? `${Math.ceil(clients / 100)}`, 100_000),
    roomSize: parseInteger("--room-size", flags.roomSize ?? "10", 10_000),
    channels: parseInteger("--channels", flags.channels ?? "4", 1_000),
  };
}

function targets(flags: BenchFlags, options: RunOptions, nats: NatsAccess | undefined): TargetKind[] {
  const { target = "bun,trunkline" } = flags;
  if (URL.canParse(target)) return elsewhere(new URL(target), flags.channel ?? "bench", nats);
  return target.split(",").map((name) => {
    if (isPeer(name)) return peers[name];
    if (name !== "trunkline") {
      throw new UserError(
        `--target ${name}: it must be some of trunkline, ${Object.keys(peers).join(", ")} with commas between ` +
          "them, or the address of a trunkline, ws://host:port",
      );
    }
    // Several instances need a shared NATS and Redis.
    const several = neededInstances(options) > 1 && !secretOfEnvironment("NATS_URL");
    return trunkline(process.env, flags.stack || several ? "stack" : "environment", {
      ...(nats && { connect: nats.connect }),
    });
  });
}

function elsewhere(url: URL, channel: string, nats: NatsAccess | undefined): TargetKind[] {
  if (url.protocol !== "ws:") throw new UserError(`--target ${url.protocol}//…: it must begin with ws://`);
  const secret = secretOfEnvironment("TRUNKLINE_TOKEN_SECRET");
  if (!secret) {
    throw new UserError("set TRUNKLINE_TOKEN_SECRET to the target's, to sign the clients' tokens with");
  }
  const apiKey = apiKeyOfEnvironment() ?? "";
  if (!apiKey && !nats) {
    throw new UserError("set NATS_URL or TRUNKLINE_API_KEYS to the target's, to publish with");
  }
  const there = remote({ url, channel, secret, apiKey, nats });
  // A control on this machine cannot be compared with a target on another.
  return isLoopback(url.hostname) ? [peers.bun, there] : [there];
}

function report(options: RunOptions, outcome: Outcome): string {
  const [head, ...lines] = columns(toTable(outcome.rows)).split("\n");
  return [
    paint("bold", describe(options)),
    paint("dim", head!),
    ...lines,
    "",
    ...notes(options, outcome).map((note) => paint("dim", `· ${note}`)),
  ].join("\n");
}
