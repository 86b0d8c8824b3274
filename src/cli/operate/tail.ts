import process from "node:process";
import { subjects } from "../../core/subject.ts";
import { type NatsConnection, RequestStrategy } from "../../nats/client.ts";
import { apiKey, natsFailure, natsServers } from "../ask.ts";
import { natsOfEnvironment } from "../drivers.ts";
import { paint, print, printError, UserError } from "../output.ts";
import { type Flags, textOf } from "./flags.ts";

/** What is looked at. */
interface Asked {
  readonly user?: string | undefined;
  readonly channel?: string | undefined;
  readonly client?: string | undefined;
  readonly instance?: string | undefined;
  readonly payloads: boolean;
}

interface State {
  readonly instances: readonly string[];
  readonly busy: readonly string[];
  readonly partial: boolean;
  readonly payloads: boolean;
}

type Step = Readonly<Record<string, unknown>>;

/** Told what comes. */
interface Printer {
  state(state: State): void;
  step(step: Step): void;
  dropped(instance: string, count: number): void;
}

/** `trunkline tail`: what happens to a user, channel, connection or instance, until it is interrupted. @throws UserError */
export async function tail(flags: Flags): Promise<void> {
  const [user, channel, client, instance] = ["user", "channel", "client", "instance"].map((name) =>
    textOf(flags, name),
  );
  if ((user ?? channel ?? client ?? instance) === undefined)
    throw new UserError("what to look at? name --user, --channel, --client or --instance");
  const asked = { user, channel, client, instance, payloads: flags.payloads === true };
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  const printer = flags.json ? jsonPrinter : textPrinter(asked);
  const url = textOf(flags, "url");
  await (url === undefined
    ? overNats(asked, printer, stop.signal)
    : overHttp(url, asked, printer, stop.signal));
}

async function overHttp(url: string, asked: Asked, printer: Printer, signal: AbortSignal): Promise<void> {
  const query = Object.entries(asked).filter(([, value]) => value !== undefined && value !== false);
  const address = new URL("/api/trace", url);
  address.search = new URLSearchParams(query.map(([name, value]) => [name, String(value)])).toString();
  const response = await fetch(address, { headers: { "x-api-key": apiKey() }, signal }).catch(
    (error: Error) => {
      throw new UserError(`${url} does not answer (${error.name})`);
    },
  );
  if (!response.ok || !response.body) {
    const { error } = (await response.json().catch(() => ({}))) as { error?: { message: string } };
    throw new UserError(`${url} answers ${response.status}${error ? `: ${error.message}` : ""}`);
  }
  try {
    let text = "";
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      text += piece;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        show(printer, text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  } catch (error) {
    if (!signal.aborted) throw new UserError(`${url} has gone (${(error as Error).name})`);
    return;
  }
  if (!signal.aborted) throw new UserError(`${url} has closed`);
}

/** Prints one server-sent event; comments keep the connection open. */
function show(printer: Printer, text: string): void {
  const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(text) ?? [];
  if (data === undefined) return;
  const value = JSON.parse(data) as Step;
  if (event === "state") printer.state(value as unknown as State);
  else if (event === "step") printer.step(value);
  else if (event === "dropped") printer.dropped(String(value.instance), Number(value.dropped));
}

/** How often instances are told that somebody still looks, ms, and how long their answers are waited for. */
const RENEW_MS = 5_000;
const ANSWERS_MS = 1_000;

interface Batch {
  readonly id: string;
  readonly instance: string;
  readonly region: string;
  readonly dropped: number;
  readonly steps: readonly Step[];
}

/** Looks as an instance would: under a name of its own, to which every instance sends what it sees. */
async function overNats(asked: Asked, printer: Printer, signal: AbortSignal): Promise<void> {
  const { root, connect } = await natsOfEnvironment(natsServers(), process.env);
  const nc = await connect();
  const names = subjects(root);
  const id = crypto.randomUUID();
  const tap = JSON.stringify({ ...asked, id, at: id });
  try {
    nc.subscribe(names.control("tapped", id), {
      callback: (error, message) => {
        if (error) printError(`NATS: ${error.message}`);
        else showBatch(printer, id, message.json<Batch>());
      },
    });
    await nc.flush();
    printer.state(await begin(nc, names.control("tap"), tap));
    const renewal = setInterval(() => nc.publish(names.control("tap"), tap), RENEW_MS);
    const ended = await Promise.race([nc.closed(), aborted(signal)]);
    clearInterval(renewal);
    if (ended instanceof Error) throw ended;
    if (!nc.isClosed()) nc.publish(names.control("untap"), JSON.stringify({ id }));
  } catch (error) {
    throw natsFailure(error);
  } finally {
    if (!nc.isClosed()) await nc.drain();
  }
}

/** Begins the trace everywhere; who answers in time is counted. */
async function begin(nc: NatsConnection, subject: string, tap: string): Promise<State> {
  const answers: { instance: string; payloads: boolean; busy: boolean }[] = [];
  const replies = await nc.requestMany(subject, tap, {
    strategy: RequestStrategy.Timer,
    maxWait: ANSWERS_MS,
  });
  for await (const reply of replies) if (!reply.headers?.hasError) answers.push(reply.json());
  if (answers.length === 0) throw new UserError("no instance answers");
  const serving = answers.filter(({ busy }) => !busy);
  return {
    instances: serving.map(({ instance }) => instance).toSorted(),
    busy: answers.filter(({ busy }) => busy).map(({ instance }) => instance),
    partial: false,
    payloads: serving.length > 0 && serving.every(({ payloads }) => payloads),
  };
}

function showBatch(printer: Printer, id: string, batch: Batch): void {
  if (batch.id !== id) return;
  const { instance, region, steps, dropped } = batch;
  for (const step of steps) printer.step({ instance, region, ...step });
  if (dropped > 0) printer.dropped(instance, dropped);
}

async function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return undefined;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  return undefined;
}

const jsonPrinter: Printer = {
  state: (state) => print(JSON.stringify({ event: "state", ...state })),
  step: (step) => print(JSON.stringify({ event: "step", ...step })),
  dropped: (instance, dropped) => print(JSON.stringify({ event: "dropped", instance, dropped })),
};

const RED = new Set(["refused", "not delivered", "left out", "continuity lost", "closed"]);

/** Lines for people. */
function textPrinter(asked: Asked): Printer {
  return {
    state({ instances, busy, partial, payloads }) {
      const notes = [
        busy.length > 0 && `${busy.join(", ")} serve too many already`,
        partial && "some may have not answered",
        asked.payloads && !payloads && "bodies are not shown: trace.payloads is off",
      ].filter(Boolean);
      print(paint("dim", [`looking at ${instances.join(", ") || "no instance"}`, ...notes].join("; ")));
    },
    step({ at, instance, region: _, step, client, user, channel, ...facts }) {
      const name = String(step);
      print(
        [
          paint("dim", new Date(Number(at)).toISOString().slice(11, 23)),
          String(instance),
          paint(RED.has(name) ? "red" : "cyan", name),
          ...[user, client, channel].filter((one) => one !== undefined && one !== "").map(String),
          ...Object.entries(facts).map(([key, value]) => `${key}=${shown(value)}`),
        ].join(" "),
      );
    },
    dropped: (instance, count) =>
      print(paint("yellow", `${instance}: ${count} steps more than there was room for`)),
  };
}

const shown = (value: unknown) => (typeof value === "object" ? JSON.stringify(value) : String(value));
