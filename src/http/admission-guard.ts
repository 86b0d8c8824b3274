import type { Rejection } from "../core/labels.ts";
import type { Logger } from "../core/log.ts";
import { Seldom } from "../core/seldom.ts";
import { Stats } from "../core/stats.ts";
import type { Handshake } from "../gateway/dialect.ts";
import { type Admission, addressKey, type Refusal } from "../gateway/instance/admission.ts";
import type { ClientIp } from "./client-ip.ts";
import { brokerFault, type Health } from "./health.ts";

export interface EntranceDeps {
  readonly admission: Admission;
  readonly health: Health;
  readonly clientIp: ClientIp;
  /** Whether nobody may come from an address. */
  readonly blocked: (ip: string) => boolean;
  /** Headers of clients' requests that services are to see, in lower case. */
  readonly passedHeaders: readonly string[];
  readonly stats: Stats;
  readonly log: Logger;
}

/** Why a client is sent away for a while. */
type Away = Refusal | "draining" | "overload" | "broker_away";

/**
 * What it is told. A proxy takes 5xx for a fault of the instance: it asks another one, or takes this one out of its
 * rotation for everybody. So a limit that one caller has reached by itself is 429.
 */
export const AWAY: Readonly<Record<Away, { readonly status: 429 | 503; readonly text: string }>> = {
  draining: { status: 503, text: "This instance is shutting down." },
  overload: { status: 503, text: "This instance is overloaded." },
  broker_away: { status: 503, text: "This instance cannot reach NATS." },
  instance_cap: { status: 503, text: "This instance has no room for more connections." },
  ip_cap: { status: 429, text: "Too many connections from this address." },
  ip_rate: { status: 429, text: "Too many new connections from this address." },
};

/** When to come back after a refusal that has no time of its own; spread, so that not all come at once. */
const retryLater = () => String(5 + Math.floor(Math.random() * 11));

/** For the log: whose page it is has to be in the settings. */
export const FOREIGN_ORIGIN = "a page of an origin that http.allowedOrigins does not name";
/** One address is heard of at most so often at log level info. */
const MISTAKES_EVERY_MS = 60_000;

/** Who comes in, whatever the transport; refusals are counted by reason. */
export class AdmissionGuard {
  readonly #deps: EntranceDeps;
  readonly #mistakes = new Seldom(MISTAKES_EVERY_MS);

  constructor(deps: EntranceDeps) {
    this.#deps = deps;
  }

  refuse(reason: Rejection, status: number, text: string, headers: Record<string, string> = {}): Response {
    Stats.bump(this.#deps.stats.rejected, reason);
    this.#deps.log.debug("connection refused", { reason });
    return new Response(`${text}\n`, {
      status,
      headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
    });
  }

  /**
   * Logs why somebody is turned away for something that whoever wrote the client, or the settings, has to mend.
   * @param detail holds nothing that the client has said
   */
  mistaken(headers: Headers, peer: string, detail: string): void {
    const ip = this.#deps.clientIp(headers, peer);
    const level = this.#mistakes.first(ip) ? "info" : "debug";
    this.#deps.log[level]("client made a mistake", { ip, detail });
  }

  /** What limits of an address count this request under. @param peer address of the TCP peer */
  addressOf(headers: Headers, peer: string): string {
    return addressKey(this.#deps.clientIp(headers, peer));
  }

  /**
   * Counts one connection in, or answers why not. Whoever was let in is given back once, with `admission.release`.
   * @param peer address of the TCP peer
   */
  admit(
    headers: Headers,
    peer: string,
  ): Response | Pick<Handshake, "ip" | "admissionKey" | "origin" | "headers"> {
    const { admission, health, clientIp } = this.#deps;
    if (health.draining()) return this.#away("draining", "1");
    if (health.overload() === "refusing") return this.#away("overload");
    if (brokerFault(health, Date.now()) !== undefined) return this.#away("broker_away");
    const ip = clientIp(headers, peer);
    if (this.#deps.blocked(ip)) return this.refuse("blocked", 403, "This address is blocked.");
    const admissionKey = addressKey(ip);
    const verdict = admission.admit(admissionKey);
    if (verdict === "ip_rate") {
      return this.#away(verdict, String(Math.ceil(admission.retryAfterMs(admissionKey) / 1000)));
    }
    if (verdict !== "ok") return this.#away(verdict);
    return { ip, admissionKey, origin: headers.get("origin") ?? undefined, headers: this.#passed(headers) };
  }

  /** What is kept of a request for services; few instances have any that ask for it. */
  #passed(headers: Headers): Readonly<Record<string, string>> | undefined {
    const { passedHeaders } = this.#deps;
    if (passedHeaders.length === 0) return undefined;
    const found = passedHeaders.map((name) => [name, headers.get(name)] as const);
    const sent = found.filter((one): one is [string, string] => one[1] !== null);
    return sent.length === 0 ? undefined : Object.fromEntries(sent);
  }

  #away(reason: Away, retryAfter = retryLater()): Response {
    const { status, text } = AWAY[reason];
    return this.refuse(reason, status, text, { "retry-after": retryAfter });
  }
}
