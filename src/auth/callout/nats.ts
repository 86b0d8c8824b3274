import { Buffer } from "node:buffer";
import { CommandError, Errors } from "../../core/errors.ts";
import { headerText, jsonFlaw, oneLine } from "../../core/json-check.ts";
import type { Logger } from "../../core/log.ts";
import type { Stats } from "../../core/stats.ts";
import type {
  Asker,
  Callouts,
  ConnectQuestion,
  PublishQuestion,
  RpcQuestion,
  SubRefreshQuestion,
  SubscribeQuestion,
} from "../auth.ts";
import { type Answer, grantOf, identityOf, publishOf, readPlain, renewalOf } from "./answers.ts";
import { CalloutFailure, type Kind, Outcomes } from "./outcomes.ts";
import { jsonObject } from "./question.ts";

/** Longest answer that is read, characters; what endpoints over HTTP may answer, too, unless the settings say otherwise. */
const MOST_ANSWER = 256 * 1024;

/**
 * Sends one request to whoever serves `rtauth.<name>` or `rtrpc.<name>`, and returns the reply's text, or the error the
 * service framework reported. Rejects with CommandError when there is no answer.
 */
export type ServiceRequest = (
  service: "auth" | "rpc",
  name: string,
  body: string,
  headers?: Readonly<Record<string, string>>,
) => Promise<{
  readonly data: string;
  readonly error?: { readonly code: number; readonly message: string };
}>;

export interface NatsCalloutOptions {
  readonly request: ServiceRequest;
  /** Longest answer to an RPC, bytes. */
  readonly rpcBodyBytes: number;
  /** Where the instance is, for services that want to know. */
  readonly region: string;
  readonly instance: string;
  readonly stats: Stats;
  readonly log: Logger;
  /** Unix time, ms. */
  readonly now?: () => number;
}

/** Questions under way at once: beyond it services are so far behind that nothing they answer comes in time. */
const MOST_UNDER_WAY = 10_000;

/**
 * Asks services over NATS. The service answers with JSON:
 *
 * - `rtauth.connect`: `{user, info?, expireAt?, channels?, subs?, caps?, meta?, device?, data?}`
 * - `rtauth.refresh`: `{expireAt, info?, meta?}` or `{expired: true}`
 * - `rtauth.subscribe`: `{info?, data?, expireAt?, override?}`
 * - `rtauth.sub_refresh`: `{expireAt?, info?}` or `{expired: true}`
 * - `rtauth.publish`: `{data?}`, which replaces what was published
 * - any of them: `{error: {code, message, temporary?}}` or `{disconnect: {code, reason}}`
 * - `rtrpc.<method>`: any JSON, or an error of the service framework
 *
 * `channels`, `subs`, `caps` and `override` are as in tokens, `expireAt` is in Unix seconds (0 or absent: never).
 */
export function natsCallouts(options: NatsCalloutOptions): Callouts {
  return new NatsCallouts(options);
}

class NatsCallouts implements Callouts {
  readonly #options: Required<NatsCalloutOptions>;
  readonly #outcomes: Outcomes;

  constructor(options: NatsCalloutOptions) {
    this.#options = { ...options, now: options.now ?? Date.now };
    this.#outcomes = new Outcomes({
      to: "nats",
      inFlight: MOST_UNDER_WAY,
      named: (kind) => ({ subject: `rtauth.${kind}` }),
      ...this.#options,
    });
  }

  async connect(question: ConnectQuestion) {
    const { client, protocol, ip, commandHeaders: headers, origin, token, data } = question;
    const body = jsonObject({ client, protocol, ip, headers, origin, token }, { data });
    return await this.#ask("connect", body, identityOf);
  }

  async refresh({ client, user, meta }: Asker) {
    const renewal = await this.#ask("refresh", jsonObject({ client, user }, { meta }), (answer) =>
      renewalOf(answer, this.#options.now()),
    );
    // A connection that goes on expires again: an answer that forgets to say when is no licence for ever.
    return renewal.expired || renewal.expiresAt !== undefined ? renewal : { expired: true as const };
  }

  async subscribe({ client, user, channel, token, data, meta }: SubscribeQuestion) {
    const body = jsonObject({ client, user, channel, token }, { data, meta });
    return await this.#ask("subscribe", body, grantOf);
  }

  async subRefresh({ client, user, channel, meta }: SubRefreshQuestion) {
    const body = jsonObject({ client, user, channel }, { meta });
    return await this.#ask("sub_refresh", body, (answer) => renewalOf(answer, this.#options.now()));
  }

  async publish({ client, user, channel, b64data, data, meta }: PublishQuestion) {
    const body = jsonObject({ client, user, channel, b64data }, { data, meta });
    return await this.#ask("publish", body, publishOf);
  }

  async rpc(question: RpcQuestion): Promise<string> {
    const { request, rpcBodyBytes } = this.#options;
    return await this.#outcomes.of("rpc", async () => {
      const reply = await request("rpc", question.method, question.data, this.#identity(question));
      if (reply.error) {
        const { code, message } = reply.error;
        // 400 to 1999 is the range of application errors; other codes have a meaning of their own for the SDKs.
        if (code >= 400 && code < 2000) throw new CommandError({ code, message });
        throw new CommandError(Errors.internal, `service error ${code}`);
      }
      if (Buffer.byteLength(reply.data) > rpcBodyBytes) {
        throw new CommandError(Errors.limitExceeded, "a service's answer is too long");
      }
      return jsonLine(reply.data);
    });
  }

  async #ask<T>(kind: Kind, body: string, read: (answer: Answer) => T): Promise<T> {
    return await this.#outcomes.of(kind, async () => {
      const reply = await this.#options.request("auth", kind, body).catch((error: unknown) => {
        throw noAnswer(error);
      });
      if (reply.error) throw new CalloutFailure("malformed", `service error ${reply.error.code}`);
      if (reply.data.length > MOST_ANSWER) {
        throw new CalloutFailure("too_long", `an answer is longer than ${MOST_ANSWER} characters`);
      }
      return read(readPlain(reply.data));
    });
  }

  /** Who asks: `Trunkline-From` holds all as JSON, the others what is wanted most, percent-encoded. */
  #identity({ client, user, device, ip, info, meta }: RpcQuestion): Record<string, string> {
    const { region, instance } = this.#options;
    const from = jsonObject({ client, user, device, ip, region, instance }, { info, meta });
    return {
      "Trunkline-From": headerText(from),
      "Trunkline-Client": client,
      "Trunkline-User": encodeURIComponent(user),
    };
  }
}

/**
 * Why there is no answer. The client sees a failure that is temporary, or its own, as it is; that nobody serves the
 * subject is neither.
 */
function noAnswer(error: unknown): CalloutFailure {
  if (!(error instanceof CommandError)) return new CalloutFailure("unreachable", "no answer");
  const { code, message } = error.error;
  if (code === Errors.limitExceeded.code) return new CalloutFailure("too_long", message, error.error);
  const label = error.error === Errors.timeout ? "timeout" : "unreachable";
  return new CalloutFailure(label, error.message, "temporary" in error.error ? error.error : undefined);
}

/** A service's answer as one line of JSON. @throws CommandError internal when it is none */
function jsonLine(text: string): string {
  if (text === "") return "null";
  const flaw = jsonFlaw(text);
  if (flaw !== undefined) throw new CommandError(Errors.internal, `a service's answer is ${flaw}`);
  return oneLine(text);
}
