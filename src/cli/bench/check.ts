import process from "node:process";
import logUpdate from "log-update";
import { resultRows, sampleLine } from "../../bench/check/report.ts";
import { type CheckSample, check } from "../../bench/check/run.ts";
import { apiSender, natsSender, type Sender } from "../../bench/check/send.ts";
import { apiStore, eitherStore, natsStore, type ReadStore } from "../../bench/check/store.ts";
import { BenchError } from "../../bench/error.ts";
import { tokenMaker } from "../../bench/tokens.ts";
import { natsOfEnvironment } from "../drivers.ts";
import { interruption } from "../interruption.ts";
import { columns, paint, print, UserError } from "../output.ts";
import { parseInteger } from "../parse-integer.ts";
import { apiKeyOfEnvironment, secretOfEnvironment } from "../secrets.ts";

/** Flags as commander hands them over. */
export interface CheckFlags {
  readonly target?: string;
  readonly nats?: string;
  readonly clients?: string;
  readonly rate?: string;
  readonly seconds?: string;
  readonly channels?: string;
  readonly channel?: string;
  readonly json?: boolean;
}

const PATH = "/connection/websocket";
/** Interval of progress lines without a terminal. */
const SECONDS_PER_LINE = 5;
const PREFIX = "chat:check";

/** `trunkline bench check`: checks whether a running system keeps its guarantees to stock clients during operations. */
export async function benchCheck(flags: CheckFlags): Promise<void> {
  const endpoints = endpointsOf(flags.target);
  const secret = secretOfEnvironment("TRUNKLINE_TOKEN_SECRET") ?? "";
  const options = {
    endpoints,
    clients: parseInteger("--clients", flags.clients ?? "100", 5_000),
    ratePerSecond: parseInteger("--rate", flags.rate ?? "20", 2_000),
    seconds: parseInteger("--seconds", flags.seconds ?? "60", 86_400),
    channels: parseInteger("--channels", flags.channels ?? "4", 1_000),
    prefix: flags.channel ?? PREFIX,
    token: tokenMaker({ secret, users: "own" }),
  };
  using stop = interruption();
  const live = liveOf(flags);
  try {
    const { sender: own, store } = await waysOf(flags, endpoints);
    await using sender = own;
    const result = await check({
      ...{ ...options, sender, signal: stop.signal, onSample: live.show },
      ...(store && { store }),
    });
    live.done();
    print(flags.json ? JSON.stringify(result, null, 2) : columns(resultRows(result)));
    if (!flags.json) {
      const good = result.verdict === "good";
      print(
        paint(good ? "green" : "red", good ? "good: every client got everything, once and in order" : "BAD"),
      );
      for (const problem of result.problems) print(`  ${problem}`);
    }
    if (result.verdict === "bad") process.exitCode = 1;
  } catch (error) {
    live.done();
    throw error instanceof BenchError ? new UserError(error.message) : error;
  }
}

function liveOf({ json }: CheckFlags): { show(sample: CheckSample): void; done(): void } {
  if (json) return { show() {}, done() {} };
  if (process.stdout.isTTY) return { show: (sample) => logUpdate(sampleLine(sample)), done: logUpdate.done };
  return {
    show(sample) {
      if (sample.second % SECONDS_PER_LINE === 0) print(sampleLine(sample));
    },
    done() {},
  };
}

/** @throws UserError */
function endpointsOf(target: string | undefined): string[] {
  const texts = target?.split(",").map((text) => text.trim()) ?? [];
  if (texts.length === 0)
    throw new UserError("--target: name the instances, such as ws://a:8080,ws://b:8080");
  return texts.map((text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url?.protocol !== "ws:" && url?.protocol !== "wss:") {
      throw new UserError(
        `--target ${text}: it must be addresses such as ws://host:port, with commas between them`,
      );
    }
    if (url.pathname === "/") url.pathname = PATH;
    return url.href;
  });
}

/** How to publish, and how to read what is stored: the stream itself where we may, else history. @throws UserError */
async function waysOf(
  { nats }: CheckFlags,
  endpoints: readonly string[],
): Promise<{ sender: Sender; store: ReadStore | undefined }> {
  const servers = nats ?? secretOfEnvironment("NATS_URL");
  const apiKey = apiKeyOfEnvironment();
  const urls = endpoints.map((endpoint) => new URL(endpoint.replace(/^ws/, "http")).origin);
  const history = apiKey ? [apiStore(urls, apiKey)] : [];
  if (servers) {
    const { connect, root } = await natsOfEnvironment(servers, process.env);
    const sender = await natsSender(connect, root).catch((error: Error) => {
      throw new UserError(`--nats ${error.message}`);
    });
    return { sender, store: eitherStore([natsStore(connect, root), ...history]) };
  }
  if (!apiKey) throw new UserError("give --nats, or set TRUNKLINE_API_KEYS to the target's, to publish with");
  return { sender: apiSender(urls, apiKey), store: eitherStore(history) };
}
