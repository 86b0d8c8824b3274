import { Buffer } from "node:buffer";
import { CommandError, ConnectionError, Errors } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";
import type { Stats } from "../../core/stats.ts";
import { traceHeaders } from "../../core/trace-context.ts";
import type { Span, Tracing } from "../../core/tracing.ts";
import type {
  Asker,
  Callouts,
  ConnectQuestion,
  PublishQuestion,
  RpcQuestion,
  SubRefreshQuestion,
  SubscribeQuestion,
} from "../auth.ts";
import { type Answer, grantOf, identityOf, publishOf, readResult, renewalOf, rpcOf } from "./answers.ts";
import { post } from "./http-post.ts";
import { CalloutFailure, type Kind, Outcomes } from "./outcomes.ts";
import { jsonObject } from "./question.ts";

/** What an HTTP status means, where it is not a success. */
interface StatusMeaning {
  readonly error?: {
    readonly code: number;
    readonly message: string;
    readonly temporary?: boolean | undefined;
  };
  readonly disconnect?: { readonly code: number; readonly reason: string };
}

/** One address of a backend, and how it is asked. */
export interface HttpEndpoint {
  readonly name: string;
  /** `{event}` in it is replaced by what is asked: `connect`, `sub_refresh` and so on. */
  readonly url: string;
  readonly timeoutMs: number;
  /** Headers of the client's own request that are passed on. */
  readonly headers: readonly string[];
  /** Headers in the client's connect command that are passed on, where its request has none of the name. */
  readonly emulatedHeaders: readonly string[];
  /** Headers of every request. They may hold secrets. */
  readonly addHeaders: Readonly<Record<string, string>>;
  /** Whether it is told the connection's `meta`. */
  readonly meta: boolean;
  /** Payloads as base64, in `b64data`. */
  readonly base64: boolean;
  /** By status. */
  readonly statuses: ReadonlyMap<number, StatusMeaning>;
  /** Most requests of this instance under way at once. */
  readonly inFlight: number;
  /** Longest answer. */
  readonly answerBytes: number;
}

export interface HttpCalloutOptions {
  readonly endpoint: HttpEndpoint;
  readonly stats: Stats;
  readonly tracing?: Tracing | undefined;
  readonly log: Logger;
  /** Unix time, ms. */
  readonly now?: () => number;
}

/** Headers in which a backend looks for the client's address: they carry the one that was found to be it. */
const ADDRESS_HEADERS: ReadonlySet<string> = new Set(["x-real-ip", "x-forwarded-for"]);

/**
 * Asks a backend over HTTP, in the shapes of Centrifugo's proxies
 * (https://centrifugal.dev/docs/server/proxy): a POST with JSON, answered with `{"result": …}`, `{"error": …}` or
 * `{"disconnect": …}`. Texts of payloads, infos and metas are spliced as they are, both ways.
 */
export function httpCallouts(options: HttpCalloutOptions): Callouts {
  return new HttpCallouts(options);
}

class HttpCallouts implements Callouts {
  readonly #endpoint: HttpEndpoint;
  readonly #outcomes: Outcomes;
  readonly #now: () => number;
  readonly #tracing: Tracing | undefined;

  constructor({ endpoint, stats, tracing, log, now = Date.now }: HttpCalloutOptions) {
    this.#endpoint = endpoint;
    this.#tracing = tracing;
    this.#now = now;
    const { host } = new URL(endpoint.url);
    // The host only: a path or a query may hold a secret.
    const named = (kind: Kind) => ({ endpoint: endpoint.name, kind, host });
    this.#outcomes = new Outcomes({ to: endpoint.name, named, inFlight: endpoint.inFlight, stats, log, now });
  }

  async connect(question: ConnectQuestion) {
    const { name, version, channels, data } = question;
    const about = {
      ...(name !== "" && { name }),
      ...(version !== "" && { version }),
      ...(channels.length > 0 && { channels }),
    };
    return await this.#ask("connect", question, this.#body(question, about, { data }), identityOf);
  }

  async refresh(question: Asker) {
    const read = (answer: Answer) => renewalOf(answer, this.#now());
    const renewal = await this.#ask("refresh", question, this.#body(question, {}), read);
    // A connection that goes on expires again: an answer that forgets to say when is no licence for ever.
    return renewal.expired || renewal.expiresAt !== undefined ? renewal : { expired: true as const };
  }

  async subscribe(question: SubscribeQuestion) {
    const { channel, token, data } = question;
    const body = this.#body(question, { channel, token }, { data });
    return await this.#ask("subscribe", question, body, grantOf);
  }

  async subRefresh(question: SubRefreshQuestion) {
    const { channel } = question;
    const read = (answer: Answer) => renewalOf(answer, this.#now());
    return await this.#ask("sub_refresh", question, this.#body(question, { channel }), read);
  }

  async publish(question: PublishQuestion) {
    const { channel, data, b64data } = question;
    const body = this.#body(question, { channel }, { data, b64data });
    return await this.#ask("publish", question, body, publishOf);
  }

  async rpc(question: RpcQuestion): Promise<string> {
    const { method, data } = question;
    const about = method === "" ? {} : { method };
    return await this.#ask("rpc", question, this.#body(question, about, { data }), rpcOf);
  }

  /** A question's body. @param b64data payload that is no JSON */
  #body(
    { client, user, transport, protocol, meta }: Asker,
    about: object,
    { data, b64data }: { readonly data?: string | undefined; readonly b64data?: string | undefined } = {},
  ): string {
    const { base64, meta: tellsMeta } = this.#endpoint;
    const encoded = b64data ?? (base64 && data ? Buffer.from(data).toString("base64") : undefined);
    const members = {
      client,
      transport,
      protocol: protocol.slice(protocol.lastIndexOf("-") + 1),
      encoding: base64 || b64data !== undefined ? "binary" : "json",
      ...(user !== "" && { user }),
      ...about,
      ...(encoded !== undefined && { b64data: encoded }),
    };
    return jsonObject(members, {
      data: encoded === undefined ? data : undefined,
      meta: tellsMeta ? meta : undefined,
    });
  }

  async #ask<T>(kind: Kind, asker: Asker, body: string, read: (answer: Answer) => T): Promise<T> {
    return await this.#outcomes.of(kind, async () => read(readResult(await this.#traced(kind, asker, body))));
  }

  /** As {@link #send}, as a span where traces are wanted. */
  #traced(kind: Kind, asker: Asker, body: string): Promise<string> {
    if (!this.#tracing) return this.#send(kind, asker, body);
    const facts = {
      "rpc.system.name": "http",
      "rpc.method": kind,
      "http.request.method": "POST",
      "server.address": new URL(this.#endpoint.url).host,
      "trunkline.endpoint": this.#endpoint.name,
    };
    return this.#tracing.span({ name: `ask ${kind}`, kind: "client", facts }, (span) =>
      this.#send(kind, asker, body, span),
    );
  }

  /** @returns the text of an answer with a good status @throws what its status stands for; CalloutFailure */
  async #send(kind: Kind, asker: Asker, body: string, span?: Span): Promise<string> {
    const { url, timeoutMs, answerBytes, statuses } = this.#endpoint;
    const { status, text } = await post(url.replaceAll("{event}", kind), {
      headers: { ...this.#headers(asker), ...traceHeaders(span?.context) },
      ...{ body, timeoutMs, answerBytes },
    });
    span?.note({ "http.response.status_code": status });
    if (status >= 200 && status < 300) return text;
    const { error, disconnect } = statuses.get(status) ?? {};
    if (disconnect) throw new ConnectionError(disconnect, `status ${status}`);
    if (error) {
      const { code, message, temporary } = error;
      throw new CommandError(
        temporary ? { code, message, temporary } : { code, message },
        `status ${status}`,
      );
    }
    const told = status === TOO_MANY ? Errors.tooManyRequests : Errors.internal;
    throw new CalloutFailure(`status_${status}`, `status ${status}`, told);
  }

  #headers({ headers = {}, emulated = {}, ip }: Asker): Record<string, string> {
    const { headers: passed, emulatedHeaders, addHeaders } = this.#endpoint;
    const all: Record<string, string> = { "user-agent": "trunkline" };
    for (const name of emulatedHeaders) if (emulated[name] !== undefined) all[name] = emulated[name];
    for (const name of passed) {
      const value = ADDRESS_HEADERS.has(name) ? ip : headers[name];
      if (value !== undefined) all[name] = value;
    }
    return { ...all, ...addHeaders, "trunkline-ip": ip, "content-type": "application/json" };
  }
}

/** A backend that says so wants what the client is told, too. */
const TOO_MANY = 429;
