import { CommandError, Errors } from "../../../core/errors.ts";
import type { Logger } from "../../../core/log.ts";
import { PacedLog } from "../../../core/paced-log.ts";
import type { Body } from "../../../core/publication.ts";
import { Stats } from "../../../core/stats.ts";
import type { Subjects } from "../../../core/subject.ts";
import { strictUtf8Decoder, utf8Decoder, utf8Encoder } from "../../../core/text.ts";
import { headers, type Msg } from "../../../nats/client.ts";
import { isHeader } from "../../body.ts";
import type { Broker, RequestOptions, ServiceReply, SignalListener } from "../../broker.ts";
import { HeaderBlock } from "../link/header-block.ts";
import { openEnvelope } from "../link/headers.ts";
import type { Link } from "../link/link.ts";
import { RequestError, type Requests, type Waiter } from "../link/requests.ts";

/** Instances that serve the same name share its requests. */
const QUEUE = "trunkline";

export interface ControlOptions {
  readonly link: Link;
  readonly requests: Requests;
  readonly subjects: Subjects;
  readonly instance: string;
  readonly log: Logger;
  readonly stats: Stats;
  readonly listeners: ReadonlySet<SignalListener>;
}

/** Signals and surveys between instances, requests to services: core NATS, at most once. */
export class Control {
  readonly #options: ControlOptions;
  readonly #served = new Set<() => void>();
  /** Signals that one instance carries out for all. */
  readonly #kinds = new Set<string>();
  readonly #bad: PacedLog;

  constructor(options: ControlOptions) {
    this.#options = options;
    this.#bad = new PacedLog(options.log);
    for (const subject of options.subjects.controls(options.instance)) {
      options.link.nc.subscribe(subject, {
        callback: (error, message) => {
          if (error) options.log.error("the subscription for signals was refused", { subject, error });
          else this.#signalled(message);
        },
      });
    }
  }

  signal(kind: string, body: unknown, to?: { instance: string }): void {
    const subject = this.#options.subjects.control(kind, to?.instance);
    if (this.#options.link.connected) this.#options.link.nc.publish(subject, jsonOf(body));
  }

  survey(kind: string, body: unknown, options: Parameters<Broker["survey"]>[2]): Promise<unknown[]> {
    const subject = this.#options.subjects.control(kind, options.to?.instance);
    return new Promise((resolve) => {
      const survey = new Survey(options.expect ?? Number.POSITIVE_INFINITY, options.timeoutMs, resolve);
      this.#options.requests.send(subject, jsonOf(body), survey);
    });
  }

  async request(
    service: "rpc" | "auth",
    name: string,
    body: Body,
    { headers: given = {}, timeoutMs }: RequestOptions,
  ): Promise<ServiceReply> {
    const { link, requests, subjects } = this.#options;
    const subject = service === "rpc" ? subjects.rpc(name) : subjects.auth(name);
    const bytes = typeof body === "string" ? utf8Encoder.encode(body) : body;
    const out = new HeaderBlock();
    for (const [key, value] of Object.entries(given)) {
      if (!isHeader(key, value)) throw new CommandError(Errors.badRequest, "malformed request header");
      out.set(key, value);
    }
    const { length: headerBytes } = out.encode();
    if (headerBytes + bytes.length > link.maxPayload)
      throw new CommandError(Errors.limitExceeded, "request too long");
    try {
      const { errorCode, error, data } = await requests.ask(subject, bytes, timeoutMs, out);
      const reply = { data: textOf(data) };
      if (errorCode === undefined) return reply;
      return { ...reply, error: { code: Number.parseInt(errorCode, 10) || 0, message: error ?? "" } };
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (error.why === "absent") throw new CommandError(Errors.methodNotFound);
      if (error.why === "timeout") throw new CommandError(Errors.timeout);
      throw error;
    }
  }

  serve(
    service: "rpc" | "auth" | "control",
    name: string,
    handler: Parameters<Broker["serve"]>[2],
  ): () => void {
    const { link, subjects, log } = this.#options;
    const subject = service === "control" ? subjects.control(name) : subjects[service](name);
    if (service === "control") this.#kinds.add(name);
    const answer = async (message: Msg) => {
      const mute = service === "control" && !this.#isInbox(message.reply);
      if (service === "control" && message.reply?.startsWith("$JS.")) return;
      const given: Record<string, string> = Object.create(null);
      for (const [key, values] of message.headers ?? []) given[key] = values[0] ?? "";
      try {
        const answer = await handler(utf8Decoder.decode(message.data), given);
        if (!mute) message.respond(answer);
      } catch (error) {
        if (!(error instanceof CommandError)) log.error("a request handler failed", { name, error });
        const { code, message: text } = error instanceof CommandError ? error.error : Errors.internal;
        const out = headers();
        out.set("Nats-Service-Error-Code", String(code));
        out.set("Nats-Service-Error", text);
        if (!mute && !link.nc.isClosed()) message.respond("", { headers: out });
      }
    };
    const subscription = link.nc.subscribe(subject, {
      queue: QUEUE,
      callback: (error, message) => {
        if (error) log.error("the subscription for requests was refused", { subject, error });
        else void answer(message);
      },
    });
    const remove = () => {
      // Drained, not just ended: what is on its way here already is still answered.
      if (this.#served.delete(remove) && !link.nc.isClosed()) void subscription.drain();
    };
    this.#served.add(remove);
    return remove;
  }

  close(): void {
    for (const remove of this.#served) remove();
  }

  #isInbox(subject: string | undefined): boolean {
    const { root } = this.#options.subjects;
    return subject !== undefined && (subject.startsWith(`${root}inbox.`) || subject.startsWith("_INBOX"));
  }

  #signalled(message: Msg): void {
    const { subjects, listeners } = this.#options;
    const kind = subjects.controlKind(message.subject);
    // Who may read a stream may have its messages delivered to any subject, rights or not: no signal comes that way.
    if (kind === undefined || this.#kinds.has(kind) || message.reply?.startsWith("$JS.")) return;
    const text = utf8Decoder.decode(message.data);
    for (const listener of listeners) {
      try {
        // Each its own copy: a listener may change what it is given.
        const answer = listener(kind, text === "" ? null : JSON.parse(text));
        // Answers go to inboxes only: an instance has rights that whoever asks may lack.
        if (answer !== undefined && this.#isInbox(message.reply)) message.respond(jsonOf(answer));
      } catch (error) {
        // What is no JSON is quoted by the parser's own message.
        const why = error instanceof SyntaxError ? { problem: "not JSON" } : { error };
        Stats.bump(this.#options.stats.badSignals, error instanceof SyntaxError ? "not_json" : "failed");
        this.#bad.warn("a signal could not be handled", { kind, ...why });
      }
    }
  }
}

/** A service's answer as text: what is none must not be taken for something it did not say. @throws CommandError */
function textOf(bytes: Uint8Array): string {
  try {
    return strictUtf8Decoder.decode(bytes);
  } catch {
    throw new CommandError(Errors.internal, "a service answered with bytes that are not UTF-8");
  }
}

/** Most answers of one survey: whoever may answer one may do so again and again. */
const MAX_ANSWERS = 10_000;

/** Collects answers; resolves with what came. */
class Survey implements Waiter {
  readonly expiresAt: number;
  readonly #expect: number;
  readonly #answers: unknown[] = [];
  readonly #done: (answers: unknown[]) => void;

  constructor(expect: number, timeoutMs: number, done: (answers: unknown[]) => void) {
    this.#expect = Math.min(expect, MAX_ANSWERS);
    this.expiresAt = performance.now() + timeoutMs;
    this.#done = done;
  }

  reply(message: Msg): boolean {
    const { code, data } = openEnvelope(message);
    if (code === 0) {
      try {
        this.#answers.push(JSON.parse(utf8Decoder.decode(data)));
      } catch {
        // No instance of ours answers so: it counts for nothing.
      }
      if (this.#answers.length < this.#expect) return false;
    }
    this.#done(this.#answers);
    return true;
  }

  fail(): void {
    this.#done(this.#answers);
  }
}

function jsonOf(value: unknown): string {
  return JSON.stringify(value) ?? "null";
}
